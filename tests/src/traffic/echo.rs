use std::{
    io::{self, ErrorKind, Read as _},
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{Family, Namespace, Peer, Tally, deadline};

/// Echo requests from one address to another, as `ping` sends them: RFC 792, RFC 4443.
#[derive(Debug)]
pub struct Echo {
    socket: Socket,
    target: SockAddr,
    family: Family,
    identifier: u16,
    sequence: u16,
}

/// Type, code, checksum, identifier, sequence number.
const ICMP_HEADER_LEN: usize = 8;

/// Default payload of `ping`, bytes.
const PAYLOAD_LEN: usize = 56;

impl Echo {
    /// From one peer to another.
    pub fn between(from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        Self::open(from.namespace(), from.address(family), to.address(family))
    }

    /// A sender at `source` in `from`.
    pub fn open(from: &Namespace, source: IpAddr, target: IpAddr) -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let family = Family::of(target);
        let protocol = match family {
            Family::V4 => Protocol::ICMPV4,
            Family::V6 => Protocol::ICMPV6,
        };
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(family.domain(), Type::RAW, Some(protocol))?;
            socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket =
            from.enter(open)?.with_context(|| format!("ICMP socket {source} -> {target}"))?;
        let identifier = NEXT.fetch_add(1, Ordering::Relaxed);
        // Not connected, so that ICMP errors do not make send(2) fail.
        let target = SockAddr::from(SocketAddr::new(target, 0));
        Ok(Self { socket, target, family, identifier, sequence: 0 })
    }

    /// Sends requests and returns their tally as IP packets.
    pub fn send(&mut self, count: u64) -> Result<Tally> {
        for _ in 0..count {
            self.sequence += 1;
            let request = self.request();
            self.socket.send_to(&request, &self.target).context("send an echo request")?;
        }
        let len = self.family.header_len() + (ICMP_HEADER_LEN + PAYLOAD_LEN) as u64;
        Ok(Tally::of(count, len))
    }

    /// The number of replies since the last call. Waits for `expected` replies, up to `limit`.
    pub fn answers(&mut self, expected: u64, limit: Duration) -> Result<u64> {
        let mut answers = 0;
        let waited = deadline::within(limit, "echo replies", || {
            answers += self.drain()?;
            Ok((answers >= expected).then_some(()))
        });
        // Missing replies are a result, not an error.
        drop(waited);
        Ok(answers)
    }

    /// Sends requests until one is answered.
    pub fn reach(&mut self) -> Result<()> {
        deadline::until("an echo reply", || {
            self.send(1)?;
            Ok((self.answers(1, deadline::SETTLING)? > 0).then_some(()))
        })
    }

    fn drain(&mut self) -> Result<u64> {
        let mut answers = 0;
        let mut buffer = [0; 2048];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(len) => answers += u64::from(self.is_answer(&buffer[..len])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answers),
                Err(error) => return Err(error).context("receive an echo reply"),
            }
        }
    }

    fn is_answer(&self, packet: &[u8]) -> bool {
        // Raw IPv4 sockets deliver the IP header, IPv6 ones do not.
        let (message, reply) = match self.family {
            Family::V4 => {
                let header_len = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
                (packet.get(header_len..), 0)
            }
            Family::V6 => (Some(packet), 129),
        };
        message.is_some_and(|message| {
            message.len() == ICMP_HEADER_LEN + PAYLOAD_LEN
                && message[0] == reply
                && message[4..6] == self.identifier.to_be_bytes()
        })
    }

    fn request(&self) -> [u8; ICMP_HEADER_LEN + PAYLOAD_LEN] {
        let mut message = [0; ICMP_HEADER_LEN + PAYLOAD_LEN];
        message[0] = match self.family {
            Family::V4 => 8,
            Family::V6 => 128,
        };
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        // The kernel fills in the checksum of ICMPv6, which covers addresses.
        if self.family.domain() == Domain::IPV4 {
            let checksum = checksum(&message);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        message
    }
}

/// RFC 1071, of a message of even length.
fn checksum(message: &[u8]) -> u16 {
    let sum: u32 =
        message.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_its_checksum_sums_to_zero() {
        let mut message = [8, 0, 0, 0, 0x12, 0x34, 0, 1, 0xff, 0xff, 0xab, 0xcd];
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(checksum(&message), 0);
    }
}
