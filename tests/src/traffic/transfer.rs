use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{silence::Silence, tcp::Connection};
use crate::{Family, Peer, deadline};

/// Time between two chunks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Bytes of a chunk.
const CHUNK: usize = 1000;

/// One TCP connection that carries bytes from one peer to another until stopped.
#[derive(Debug)]
pub struct Transfer {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    sender: JoinHandle<Result<u64>>,
    receiver: JoinHandle<Result<Transferred>>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes that arrived, which are those that were sent.
    pub bytes: u64,
    /// The longest time in which none arrived.
    pub silence: Duration,
}

impl Transfer {
    /// Connects and begins to send.
    pub fn start(from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        let Connection { client, server } = Connection::between(from, to, family)?;
        let (stop, arrived) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&arrived));
        let sender = thread::spawn(move || send(client, &stopped));
        let receiver = thread::spawn(move || receive(server, &counted));
        Ok(Self { stop, arrived, sender, receiver })
    }

    /// Bytes that have arrived so far.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Ends the connection in order.
    ///
    /// # Errors
    /// It was cut, or other bytes arrived than were sent.
    pub fn stop(self) -> Result<Transferred> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().map_err(|_panic| anyhow!("the sender panicked"))??;
        let transferred =
            self.receiver.join().map_err(|_panic| anyhow!("the receiver panicked"))??;
        let arrived = transferred.bytes;
        ensure!(arrived == sent, "{arrived} bytes of {sent} arrived");
        Ok(transferred)
    }
}

fn send(mut client: TcpStream, stop: &AtomicBool) -> Result<u64> {
    let chunk: Vec<u8> = (0..=u8::MAX).cycle().take(CHUNK).collect();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        client.write_all(&chunk).context("the connection was cut while it sent")?;
        sent += CHUNK as u64;
        deadline::pass(INTERVAL);
    }
    client.shutdown(std::net::Shutdown::Write)?;
    // Nothing comes, but the end does, after all that was sent.
    let ended = client.read(&mut [0; 1]).context("the connection was cut at its end")?;
    ensure!(ended == 0, "bytes from the receiver");
    Ok(sent)
}

fn receive(mut server: TcpStream, arrived: &AtomicU64) -> Result<Transferred> {
    let mut silence = Silence::begin();
    let mut buffer = vec![0; 65536];
    let mut bytes: u64 = 0;
    loop {
        match server.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                for (place, byte) in (bytes..).zip(&buffer[..len]) {
                    let expected = u8::try_from(place % CHUNK as u64 % 256)?;
                    ensure!(*byte == expected, "byte {place} is {byte}, not {expected}");
                }
                bytes += len as u64;
                arrived.store(bytes, Ordering::Relaxed);
                silence.broken();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("the connection was cut while it received"),
        }
    }
    silence.end();
    Ok(Transferred { bytes, silence: silence.longest() })
}
