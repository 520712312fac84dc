use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{Family, Namespace, Peer, Tally, deadline};

/// Source port, destination port, length, checksum.
const UDP_HEADER_LEN: u64 = 8;

/// A sender and a receiver of datagrams.
#[derive(Debug)]
pub struct Udp {
    family: Family,
    // Not connected: an ICMP error would make send(2) fail instead of sending.
    sender: UdpSocket,
    target: SocketAddr,
    receiver: UdpSocket,
}

impl Udp {
    /// A sender at `source` in `from`, and a receiver at a free port of `target` in `to`.
    pub fn open(from: &Namespace, source: IpAddr, to: &Namespace, target: IpAddr) -> Result<Self> {
        let receiver = bind(to, SocketAddr::new(target, 0))?;
        let target = receiver.local_addr()?;
        Ok(Self {
            family: Family::of(source),
            sender: bind(from, SocketAddr::new(source, 0))?,
            target,
            receiver,
        })
    }

    /// The same between two peers.
    pub fn between(from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        Self::open(from.namespace(), from.address(family), to.namespace(), to.address(family))
    }

    /// A sender without a receiver.
    pub fn blind(from: &Namespace, source: IpAddr, target: SocketAddr) -> Result<Self> {
        let sender = bind(from, SocketAddr::new(source, 0))?;
        let receiver = sender.try_clone()?;
        Ok(Self { family: Family::of(source), sender, target, receiver })
    }

    /// Sends datagrams of `payload_len` bytes and returns their tally as IP packets.
    pub fn send(&self, count: u64, payload_len: usize) -> Result<Tally> {
        let payload = vec![0x5a; payload_len];
        for _ in 0..count {
            self.sender.send_to(&payload, self.target).context("send a datagram")?;
        }
        Ok(Tally::of(count, self.family.header_len() + UDP_HEADER_LEN + payload_len as u64))
    }

    /// The datagrams since the last call. Waits for `expected` packets, up to `limit`.
    pub fn received(&self, expected: u64, limit: Duration) -> Result<Tally> {
        let mut received = Tally::default();
        let waited = deadline::within(limit, "datagrams", || {
            received += self.drain()?;
            Ok((received.packets >= expected).then_some(()))
        });
        // Missing datagrams are a result, not an error.
        drop(waited);
        Ok(received)
    }

    fn drain(&self) -> Result<Tally> {
        let mut received = Tally::default();
        receive_all(&self.receiver, |datagram| {
            let len = self.family.header_len() + UDP_HEADER_LEN + datagram.len() as u64;
            received += Tally::of(1, len);
            Ok(())
        })?;
        Ok(received)
    }
}

/// Passes each datagram that has arrived to `take`.
pub(super) fn receive_all(
    socket: &UdpSocket,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = [0; 65536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => take(&buffer[..len])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("receive a datagram"),
        }
    }
}

/// A non-blocking socket in a namespace.
pub(super) fn bind(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket> {
    let socket = namespace
        .enter(|| UdpSocket::bind(address))?
        .with_context(|| format!("bind UDP {address} in {}", namespace.name()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
