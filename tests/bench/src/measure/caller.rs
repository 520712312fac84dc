//! A genuine peer of a relay, made of boringtun and a socket.

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

/// It calls, calls again as a WireGuard does, and hangs up never.
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
    /// Of this key, at this port, in the namespace that the caller of it is in.
    ///
    /// # Errors
    /// There is no socket.
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
    ///
    /// # Errors
    /// It cannot be sent.
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

    /// Takes what has come, and does what is due; whether it has a session then.
    ///
    /// # Errors
    /// Something cannot be received or sent.
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
                // Done: a cookie, or a keepalive; an error: what a lost session left behind.
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
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) fn send(&mut self, packet: &[u8]) -> Result<()> {
        let mut room: Room = [0; _];
        let TunnResult::WriteToNetwork(message) = self.tunnel.encapsulate(packet, &mut room) else {
            bail!("boringtun makes no message of a packet");
        };
        self.socket.send(message).context("send a packet").map(drop)
    }

    /// Initiations that it has sent.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// How long it called until it had a session.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Packets that came through the tunnel.
    pub(super) fn received(&self) -> u64 {
        self.received
    }
}
