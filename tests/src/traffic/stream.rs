use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use rustix::io::Errno;

use super::{
    silence::Silence,
    udp::{bind, receive_all},
};
use crate::{Family, Peer, deadline};

/// Time between two datagrams, unless another is given.
const INTERVAL: Duration = Duration::from_millis(10);

/// Numbered datagrams from one peer to another, sent until stopped.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    worker: JoinHandle<Result<(Vec<u64>, Silence)>>,
}

/// The result of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flown {
    /// How many datagrams were sent.
    pub sent: u64,
    /// How many of them arrived at least once.
    pub received: u64,
    /// How many arrived more than once.
    pub repeated: u64,
    /// The numbers of the first few that did not arrive.
    pub missing: Vec<u64>,
    /// The longest time in which none arrived.
    pub silence: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Stream {
    /// Begins to send.
    pub fn start(from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        Self::start_every(INTERVAL, from, to, family)
    }

    /// Begins to send, with this time between two datagrams.
    pub fn start_every(interval: Duration, from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        let receiver = bind(to.namespace(), to.any_port(family))?;
        let target = receiver.local_addr()?;
        // Not connected, so that ICMP errors do not end the stream.
        let sender = bind(from.namespace(), from.any_port(family))?;
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let worker = thread::spawn(move || its.flow(interval, &sender, target, &receiver));
        Ok(Self { shared, worker })
    }

    /// How many were sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How many have arrived so far.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Stops it, and waits for the last datagrams unless none arrived.
    pub fn stop(self) -> Result<Flown> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let (times, silence) =
            self.worker.join().map_err(|_panic| anyhow!("the stream panicked"))??;
        let missing = |(number, times): (u64, &u64)| (*times == 0).then_some(number);
        let received = times.iter().filter(|&&times| times > 0).count() as u64;
        Ok(Flown {
            sent: times.len() as u64,
            received,
            repeated: times.iter().filter(|&&times| times > 1).count() as u64,
            missing: (0..).zip(&times).filter_map(missing).take(20).collect(),
            silence: silence.longest(),
        })
    }
}

impl Shared {
    /// Sends and receives in turn, so that the receive buffer suffices. Returns how often each
    /// number arrived.
    fn flow(
        &self,
        interval: Duration,
        sender: &UdpSocket,
        target: SocketAddr,
        receiver: &UdpSocket,
    ) -> Result<(Vec<u64>, Silence)> {
        let mut times: Vec<u64> = Vec::new();
        let mut silence = Silence::begin();
        while !self.stop.load(Ordering::Relaxed) {
            let number = times.len() as u64;
            match sender.send_to(&number.to_be_bytes(), target) {
                Ok(_) => times.push(0),
                // The sender's queue is full.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // WireGuard has no peer for it: the sender's tunnel is being set up again.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOKEY) => {}
                Err(error) => return Err(error).context("send a datagram"),
            }
            self.sent.store(times.len() as u64, Ordering::Relaxed);
            deadline::pass(interval);
            self.drain(receiver, &mut times, &mut silence)?;
        }
        silence.end();
        if self.received.load(Ordering::Relaxed) > 0 {
            let all = deadline::within(deadline::SETTLING, "the last datagrams", || {
                self.drain(receiver, &mut times, &mut silence)?;
                Ok(times.iter().all(|&times| times > 0).then_some(()))
            });
            // Missing datagrams are a result, not an error.
            drop(all);
        }
        Ok((times, silence))
    }

    fn drain(&self, receiver: &UdpSocket, times: &mut [u64], silence: &mut Silence) -> Result<()> {
        receive_all(receiver, |datagram| {
            let number = datagram.try_into().map(u64::from_be_bytes);
            let number =
                number.with_context(|| format!("a datagram of {} bytes", datagram.len()))?;
            *times.get_mut(usize::try_from(number)?).context("a number that was not sent")? += 1;
            self.received.fetch_add(1, Ordering::Relaxed);
            silence.broken();
            Ok(())
        })
    }
}
