use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::{
    super::{Error, ErrorContext as _, Result},
    bed::{Bed, Peer},
    error::BenchError,
    processors,
};
use crate::bench::{Load, Processors, Run, Taken, Wanted};

/// How long two peers may take to reach each other for the first time in a run.
const FIRST_MAX: Duration = Duration::from_secs(20);

/// After that long without a datagram a thread looks whether the run is over.
const LOOK: Duration = Duration::from_millis(100);

/// A connection that takes no more bytes for that long has failed.
const STUCK: Duration = Duration::from_secs(20);

/// Datagrams of a pair that are under way at a time. Like the window of TCP it makes the sender as fast
/// as the slowest part, so that what is measured is what arrives, not how much can be dropped.
const WINDOW: u64 = 256;

/// The receiver wakes the sender this often.
const WAKE: u64 = 32;

/// After that long without an arrival, what is under way is lost.
const LOST: Duration = Duration::from_millis(2);

/// Holds a window of the largest datagrams, with what the kernel adds to each.
const BUFFER: usize = 4 << 20;

const CHUNK: usize = 128 * 1024;
const PING: [u8; 64] = [0; 64];

/// One pair of peers, connected.
enum Flow {
    Tcp { from: TcpStream, to: TcpStream },
    Udp { from: UdpSocket, to: UdpSocket, payload: Vec<u8>, sender: Mutex<Option<Thread>> },
    RoundTrip { from: UdpSocket, to: UdpSocket, times: Mutex<Vec<Duration>> },
}

/// What one pair has counted in the whole run.
#[derive(Default)]
struct Count {
    sent: AtomicU64,
    received: AtomicU64,
    bytes: AtomicU64,
}

/// A moment of a run.
struct Moment {
    at: Instant,
    processors: Processors,
    relayed: u64,
    received: u64,
    bytes: u64,
}

/// Makes a run, which is measured for `time`.
///
/// # Errors
/// Peers do not reach each other, or a stream breaks.
pub(super) fn measure(bed: &Bed, run: &Run, time: Duration) -> Result<Taken> {
    let mut flows = Vec::new();
    for [from, to] in bed.pairs(run.pairs) {
        meet(bed, from, to)?;
        flows.push((Flow::open(run.load, from, to)?, Count::default()));
    }
    let is_over = AtomicBool::new(false);
    let (failed, failures) = mpsc::channel();
    let moments = thread::scope(|scope| {
        for (flow, count) in &flows {
            for work in [Flow::send, Flow::receive] {
                let (failed, is_over) = (failed.clone(), &is_over);
                scope.spawn(move || {
                    // Nobody listens once the run is over.
                    if let Err(error) = work(flow, count, is_over) {
                        drop(failed.send(error));
                    }
                });
            }
        }
        let moments = watch(bed, &flows, &failures, time);
        is_over.store(true, Relaxed);
        moments
    });
    let [before, after] = moments?;
    let elapsed = after.at - before.at;
    let sum = |of: fn(&Count) -> &AtomicU64| {
        flows.iter().map(|(_, count)| of(count).load(Relaxed)).sum::<u64>()
    };
    Ok(Taken {
        elapsed,
        delivered_bytes: after.bytes - before.bytes,
        delivered: after.received - before.received,
        relayed: after.relayed.saturating_sub(before.relayed),
        millicores: after.processors.millicores_since(&before.processors),
        datagrams: [sum(|count| &count.sent), sum(|count| &count.received)],
        round_trips: flows.into_iter().flat_map(|(flow, _)| flow.into_times()).collect(),
    })
}

/// Lets the streams run warm, then looks at both ends of the measured time. That becomes longer if
/// nothing has arrived in it.
fn watch(
    bed: &Bed,
    flows: &[(Flow, Count)],
    failures: &Receiver<Error>,
    time: Duration,
) -> Result<[Moment; 2]> {
    wait(failures, Wanted::WARM_UP)?;
    let before = Moment::of(bed, flows)?;
    wait(failures, time)?;
    loop {
        let after = Moment::of(bed, flows)?;
        if after.is_past(&before) {
            return Ok([before, after]);
        }
        if after.at - before.at > time + FIRST_MAX {
            return Err(BenchError::Silent { seconds: FIRST_MAX.as_secs() }.into());
        }
        wait(failures, LOOK)?;
    }
}

/// Waits, unless a stream fails.
fn wait(failures: &Receiver<Error>, time: Duration) -> Result<()> {
    match failures.recv_timeout(time) {
        Ok(error) => Err(error),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    }
}

impl Moment {
    fn of(bed: &Bed, flows: &[(Flow, Count)]) -> Result<Self> {
        let (mut received, mut bytes) = (0, 0);
        let (relayed, processors, at) = (bed.relayed()?, processors()?, Instant::now());
        for (_, count) in flows {
            received += count.received.load(Relaxed);
            bytes += count.bytes.load(Relaxed);
        }
        Ok(Self { at, processors, relayed, received, bytes })
    }

    /// Whether something was relayed and has arrived since `earlier`.
    fn is_past(&self, earlier: &Self) -> bool {
        let arrived = (self.received, self.bytes) != (earlier.received, earlier.bytes);
        arrived && self.relayed > earlier.relayed
    }
}

impl Flow {
    /// Opens sockets in the namespaces of both peers.
    fn open(load: Load, from: &Peer, to: &Peer) -> Result<Self> {
        match load {
            Load::Tcp => {
                let bind = || TcpListener::bind((to.address(), 0)).context("listen");
                let listener = to.namespace.enter(bind)?;
                let address = listener.local_addr().context("an address")?;
                let connect = || TcpStream::connect_timeout(&address, FIRST_MAX).context("connect");
                let from = from.namespace.enter(connect)?;
                // The kernel has accepted it.
                let (to, _) = listener.accept().context("accept")?;
                to.set_read_timeout(Some(LOOK)).context("a socket")?;
                from.set_write_timeout(Some(STUCK)).context("a socket")?;
                Ok(Self::Tcp { from, to })
            }
            Load::Udp { payload_bytes } => {
                let [from, to] = datagrams(from, to)?;
                let payload = vec![0x5a; usize::from(payload_bytes)];
                Ok(Self::Udp { from, to, payload, sender: Mutex::new(None) })
            }
            Load::RoundTrip => {
                let [from, to] = datagrams(from, to)?;
                from.set_read_timeout(Some(LOOK)).context("a socket")?;
                Ok(Self::RoundTrip { from, to, times: Mutex::new(Vec::new()) })
            }
        }
    }

    /// The sender's work, until the run is over.
    fn send(&self, count: &Count, is_over: &AtomicBool) -> Result<()> {
        match self {
            Self::Tcp { from, .. } => stream(from, is_over),
            Self::Udp { from, payload, sender, .. } => {
                *sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
                throw(from, payload, count, is_over)
            }
            Self::RoundTrip { from, times, .. } => {
                let taken = ping(from, count, is_over)?;
                *times.lock().unwrap_or_else(PoisonError::into_inner) = taken;
                Ok(())
            }
        }
    }

    /// The receiver's work, until nothing comes anymore.
    fn receive(&self, count: &Count, is_over: &AtomicBool) -> Result<()> {
        match self {
            Self::Tcp { to, .. } => swallow(to, count, is_over),
            Self::Udp { to, sender, .. } => catch(to, sender, count, is_over),
            Self::RoundTrip { to, .. } => echo(to, is_over),
        }
    }

    fn into_times(self) -> Vec<Duration> {
        match self {
            Self::RoundTrip { times, .. } => {
                times.into_inner().unwrap_or_else(PoisonError::into_inner)
            }
            Self::Tcp { .. } | Self::Udp { .. } => Vec::new(),
        }
    }
}

/// Waits until a datagram of one has come to the other and back.
fn meet(bed: &Bed, from: &Peer, to: &Peer) -> Result<()> {
    let [asking, answering] = datagrams(from, to)?;
    asking.set_read_timeout(Some(LOOK)).context("a socket")?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let echo = scope.spawn(|| echo(&answering, &is_over));
        let begun = Instant::now();
        let mut buffer = PING;
        let met = loop {
            let sent = asking.send(&PING).and_then(|_| asking.recv(&mut buffer));
            match sent {
                Ok(_) => break Ok(()),
                Err(error) if !is_pause(&error) => break Err(error).context("the first datagram"),
                Err(_) if begun.elapsed() > FIRST_MAX => {
                    let (from, to) = (from.address(), to.address());
                    let (seconds, way) = (FIRST_MAX.as_secs(), bed.way().label());
                    break Err(BenchError::NoAnswer { from, to, seconds, way }.into());
                }
                Err(_) => {}
            }
        };
        is_over.store(true, Relaxed);
        met.and(echo.join().unwrap_or(Ok(())))
    })
}

/// A socket of each, connected with the other's.
fn datagrams(from: &Peer, to: &Peer) -> Result<[UdpSocket; 2]> {
    let open = |peer: &Peer| peer.namespace.enter(|| socket(peer.address()));
    let sockets = [open(from)?, open(to)?];
    let address = |socket: &UdpSocket| socket.local_addr().context("an address");
    let connect = |socket: &UdpSocket, to: SocketAddr| socket.connect(to).context("connect");
    connect(&sockets[0], address(&sockets[1])?)?;
    connect(&sockets[1], address(&sockets[0])?)?;
    sockets[1].set_read_timeout(Some(LOOK)).context("a socket")?;
    Ok(sockets)
}

fn socket(address: Ipv4Addr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0)).with_context(|| format!("bind {address}"))?;
    set_socket_recv_buffer_size_force(&socket, BUFFER)
        .map_err(io::Error::from)
        .context("a socket's buffer")?;
    Ok(socket)
}

fn stream(mut from: &TcpStream, is_over: &AtomicBool) -> Result<()> {
    let chunk = vec![0x5a; CHUNK];
    while !is_over.load(Relaxed) {
        from.write_all(&chunk).context("write to a TCP connection")?;
    }
    from.shutdown(std::net::Shutdown::Write).context("end a TCP connection")
}

fn swallow(mut to: &TcpStream, count: &Count, is_over: &AtomicBool) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match to.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(len) => count.bytes.fetch_add(length(len), Relaxed),
            Err(error) if is_pause(&error) && is_over.load(Relaxed) => return Ok(()),
            Err(error) if is_pause(&error) => continue,
            Err(error) => return Err(error).context("read from a TCP connection"),
        };
    }
}

fn throw(from: &UdpSocket, payload: &[u8], count: &Count, is_over: &AtomicBool) -> Result<()> {
    // Sent, and lost as far as is known.
    let (mut sent, mut lost) = (0_u64, 0_u64);
    while !is_over.load(Relaxed) {
        let received = count.received.load(Relaxed);
        if sent.saturating_sub(lost).saturating_sub(received) >= WINDOW {
            thread::park_timeout(LOST);
            if count.received.load(Relaxed) == received {
                lost = sent.saturating_sub(received);
            }
            continue;
        }
        from.send(payload).context("send a datagram")?;
        sent += 1;
        count.sent.store(sent, Relaxed);
    }
    Ok(())
}

fn catch(
    to: &UdpSocket,
    sender: &Mutex<Option<Thread>>,
    count: &Count,
    is_over: &AtomicBool,
) -> Result<()> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut waiting = None;
    loop {
        match to.recv(&mut buffer) {
            Ok(len) => {
                count.bytes.fetch_add(length(len), Relaxed);
                let received = count.received.fetch_add(1, Relaxed) + 1;
                if received.is_multiple_of(WAKE) {
                    let known = || sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    waiting = waiting.or_else(known);
                    waiting.as_ref().map(Thread::unpark);
                }
            }
            Err(error) if is_pause(&error) && is_over.load(Relaxed) => return Ok(()),
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error).context("receive a datagram"),
        }
    }
}

fn ping(from: &UdpSocket, count: &Count, is_over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut buffer = PING;
    let mut datagram = PING;
    while !is_over.load(Relaxed) {
        let number = count.sent.fetch_add(1, Relaxed);
        datagram[..8].copy_from_slice(&number.to_ne_bytes());
        let begun = Instant::now();
        from.send(&datagram).context("send a datagram")?;
        // Answers to earlier ones come late.
        let answer = loop {
            match from.recv(&mut buffer) {
                Ok(_) if buffer != datagram => {}
                other => break other,
            }
        };
        match answer {
            Ok(_) => {
                times.push(begun.elapsed());
                count.received.fetch_add(1, Relaxed);
            }
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error).context("receive a datagram"),
        }
    }
    Ok(times)
}

fn echo(to: &UdpSocket, is_over: &AtomicBool) -> Result<()> {
    let mut buffer = PING;
    while !is_over.load(Relaxed) {
        match to.recv(&mut buffer) {
            Ok(_) => drop(to.send(&buffer).context("answer a datagram")?),
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error).context("receive a datagram"),
        }
    }
    Ok(())
}

/// Whether nothing came in the time that a socket waits.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
