use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result};
use socket2::{Protocol, SockAddr, Socket, Type};

use crate::{Family, Namespace, inner::Inner};

/// The IP header is part of what is sent: raw(7), and inet6_create() (net/ipv6/af_inet6.c, 6.12).
const IPPROTO_RAW: i32 = 255;

/// A sender of packets as they are, fragments among them.
#[derive(Debug)]
pub struct Raw {
    socket: Socket,
    target: SockAddr,
}

impl Raw {
    /// A sender in `from`.
    pub fn open(from: &Namespace, target: IpAddr) -> Result<Self> {
        let domain = Family::of(target).domain();
        let open = || -> io::Result<Socket> {
            Socket::new(domain, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))
        };
        let socket = from.enter(open)?.with_context(|| format!("raw socket to {target}"))?;
        Ok(Self { socket, target: SockAddr::from(SocketAddr::new(target, 0)) })
    }

    /// The same through this interface, whatever the routes say.
    pub fn through(from: &Namespace, interface: &str, target: IpAddr) -> Result<Self> {
        let raw = Self::open(from, target)?;
        raw.socket
            .bind_device(Some(interface.as_bytes()))
            .with_context(|| format!("bind a socket to {interface}"))?;
        Ok(raw)
    }

    /// Sends a packet with its header.
    pub fn send(&self, packet: &Inner) -> Result<()> {
        self.socket.send_to(packet.bytes(), &self.target).map(drop).context("send a packet")
    }
}
