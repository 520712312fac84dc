//! A genuine peer: boringtun and a socket.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use boringtun::{
    noise::{Tunn, TunnResult},
    x25519,
};
use relay::model::{PrivateKey, PublicKey};
use relay_common::guard::INITIATION_LEN;

use relay_tests::{guard::PORT, relay_host::UNDERLAY};

/// A peer that sends initiations, with WireGuard's retries, until it has a session.
pub(super) struct Caller {
    tunnel: Tunn,
    socket: UdpSocket,
    called: Option<Instant>,
    waited: Option<Duration>,
    calls: u64,
    received: u64,
}

/// Room for the longest message.
type Room = [u8; 2048];

impl Caller {
    /// A peer with this key and port, in the namespace of the calling thread.
    pub(super) fn new(key: &PrivateKey, relay: &PublicKey, port: u16) -> Result<Self> {
        let secret = x25519::StaticSecret::from(*key.as_bytes());
        let relay = x25519::PublicKey::from(*relay.as_bytes());
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).context("a peer's socket")?;
        socket.connect((UNDERLAY, PORT)).context("a peer's socket")?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            tunnel: Tunn::new(secret, relay, None, None, 1, None),
            socket,
            called: None,
            waited: None,
            calls: 0,
            received: 0,
        })
    }

    /// Sends its first initiation.
    pub(super) fn call(&mut self) -> Result<()> {
        let mut room: Room = [0; _];
        self.called = Some(Instant::now());
        let TunnResult::WriteToNetwork(initiation) =
            self.tunnel.format_handshake_initiation(&mut room, true)
        else {
            bail!("boringtun makes no initiation");
        };
        self.calls = 1;
        self.socket.send(initiation).context("send an initiation").map(drop)
    }

    /// Handles received messages and timers; returns whether there is a session.
    pub(super) fn look(&mut self) -> Result<bool> {
        let (mut datagram, mut room): (Room, Room) = ([0; _], [0; _]);
        loop {
            let len = match self.socket.recv(&mut datagram) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("receive from the relay"),
            };
            match self.tunnel.decapsulate(None, &datagram[..len], &mut room) {
                TunnResult::WriteToNetwork(answer) => drop(self.socket.send(answer)?),
                TunnResult::WriteToTunnelV4(..) | TunnResult::WriteToTunnelV6(..) => {
                    self.received += 1;
                }
                // Done: a cookie or a keepalive. Error: a message of a lost session.
                TunnResult::Done | TunnResult::Err(_) => {}
            }
        }
        if let TunnResult::WriteToNetwork(message) = self.tunnel.update_timers(&mut room) {
            self.calls += u64::from(message.len() == INITIATION_LEN as usize);
            self.socket.send(message)?;
        }
        let is_connected = self.tunnel.time_since_last_handshake().is_some();
        if is_connected && self.waited.is_none() {
            self.waited = self.called.map(|called| called.elapsed());
        }
        Ok(is_connected)
    }

    /// Sends a packet through the tunnel.
    pub(super) fn send(&mut self, packet: &[u8]) -> Result<()> {
        let mut room: Room = [0; _];
        let TunnResult::WriteToNetwork(message) = self.tunnel.encapsulate(packet, &mut room) else {
            bail!("boringtun makes no message of a packet");
        };
        self.socket.send(message).context("send a packet").map(drop)
    }

    /// Number of initiations sent.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Time from the first initiation to the session.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Packets received through the tunnel.
    pub(super) fn received(&self) -> u64 {
        self.received
    }
}
