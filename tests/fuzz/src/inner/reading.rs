//! A plain reading of a packet inside the tunnel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use relay_common::Reason;

/// What is in a packet whose headers are right.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) carried: Carried,
    hops: u8,
    /// Of a packet that routers may not cut; otherwise 0.
    whole: usize,
}

/// What it carries.
#[derive(Debug)]
pub(super) enum Carried {
    /// A fragment without the header of what it carries.
    LaterFragment,
    Ports {
        kind: Kind,
        from: u16,
        to: u16,
    },
    /// ICMP of the packet's family.
    Icmp {
        kind: u8,
    },
    Other,
}

#[derive(Debug)]
pub(super) enum Kind {
    Tcp,
    Udp,
}

/// Extension headers of IPv6 that are followed at most.
const EXTENSIONS: usize = 6;

impl Read {
    /// Reads it.
    pub(super) fn of(packet: &[u8]) -> Result<Self, Reason> {
        match packet.first().ok_or(Reason::MalformedHeader)? >> 4 {
            4 => Self::of_v4(packet),
            6 => Self::of_v6(packet),
            _ => Err(Reason::MalformedHeader),
        }
    }

    fn of_v4(packet: &[u8]) -> Result<Self, Reason> {
        let header = packet.get(..20).ok_or(Reason::MalformedHeader)?;
        match header[0] {
            0x45 => {}
            0x46..=0x4f => return Err(Reason::IpOptions),
            _ => return Err(Reason::MalformedHeader),
        }
        if word(&header[2..]) != packet.len() {
            return Err(Reason::MalformedHeader);
        }
        if sum(header) != 0xffff {
            return Err(Reason::BadChecksum);
        }
        let address =
            |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        let fragment = word(&header[6..]);
        let carried = match fragment & 0x1fff {
            0 => carried(header[9], &packet[20..], 1),
            _ => Carried::LaterFragment,
        };
        Ok(Self {
            source: address(12).into(),
            destination: address(16).into(),
            carried,
            hops: header[8],
            whole: if fragment & 0x4000 != 0 { packet.len() } else { 0 },
        })
    }

    fn of_v6(packet: &[u8]) -> Result<Self, Reason> {
        let header = packet.get(..40).ok_or(Reason::MalformedHeader)?;
        if word(&header[4..]) + 40 != packet.len() {
            return Err(Reason::MalformedHeader);
        }
        let address = |at: usize| {
            let octets: [u8; 16] = header[at..at + 16].try_into().expect("16 of them");
            Ipv6Addr::from(octets)
        };
        Ok(Self {
            source: address(8).into(),
            destination: address(24).into(),
            carried: behind_extensions(packet, header[6])?,
            hops: header[7],
            whole: packet.len(),
        })
    }

    /// Whether a router sends it on.
    pub(super) fn may_leave(&self, mtu: u16) -> Result<(), Reason> {
        if self.hops <= 1 {
            return Err(Reason::TtlExceeded);
        }
        if self.whole > usize::from(mtu) { Err(Reason::TooBig) } else { Ok(()) }
    }

    /// Whether it is an error of ICMP.
    pub(super) fn is_error(&self) -> bool {
        match (&self.carried, self.source) {
            (Carried::Icmp { kind }, IpAddr::V4(_)) => [3, 4, 11, 12].contains(kind),
            (Carried::Icmp { kind }, IpAddr::V6(_)) => *kind < 128,
            _ => false,
        }
    }
}

fn behind_extensions(packet: &[u8], first: u8) -> Result<Carried, Reason> {
    let (mut next, mut at) = (first, 40);
    for count in 0.. {
        match next {
            0 => return Err(Reason::IpOptions),
            43 => return Err(Reason::SourceRouting),
            44 | 51 | 60 | 135 | 139 | 140 if count == EXTENSIONS => return Err(Reason::IpOptions),
            44 | 51 | 60 | 135 | 139 | 140 => {}
            number => return Ok(carried(number, packet.get(at..).unwrap_or_default(), 58)),
        }
        let start = packet.get(at..at + 4).ok_or(Reason::MalformedHeader)?;
        if next == 44 && word(&start[2..]) & 0xfff8 != 0 {
            return Ok(Carried::LaterFragment);
        }
        at += match next {
            44 => 8,
            51 => (usize::from(start[1]) + 2) * 4,
            _ => (usize::from(start[1]) + 1) * 8,
        };
        next = start[0];
    }
    Ok(Carried::Other)
}

fn carried(number: u8, bytes: &[u8], icmp: u8) -> Carried {
    let kind = match number {
        6 => Kind::Tcp,
        17 => Kind::Udp,
        number if number == icmp && !bytes.is_empty() => return Carried::Icmp { kind: bytes[0] },
        _ => return Carried::Other,
    };
    match bytes {
        [a, b, c, d, ..] => Carried::Ports {
            kind,
            from: u16::from_be_bytes([*a, *b]),
            to: u16::from_be_bytes([*c, *d]),
        },
        _ => Carried::Other,
    }
}

/// Writes the length, and the checksum of IPv4, as they have to be.
pub(super) fn mend(packet: &mut [u8]) {
    let len = packet.len();
    let put = |packet: &mut [u8], at: usize, value: usize| {
        let value = u16::try_from(value).expect("a short packet");
        packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
    };
    match packet[0] >> 4 {
        4 => {
            put(packet, 2, len);
            put(packet, 10, 0);
            let header = (usize::from(packet[0] & 15) * 4).clamp(20, len);
            let sum = 0xffff - sum(&packet[..header]);
            put(packet, 10, sum);
        }
        6 => put(packet, 4, len - 40),
        _ => {}
    }
}

/// Takes one hop, of a packet that has one.
pub(super) fn take_a_hop(packet: &mut [u8]) {
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return;
    }
    packet[8] -= 1;
    // As RFC 1624 has it, so that a checksum of one form stays in it.
    let before = 0xffff - word(&packet[10..]);
    let sum = before + 0xfeff;
    let sum = (sum & 0xffff) + (sum >> 16);
    let value = u16::try_from(0xffff - sum).expect("folded");
    packet[10..12].copy_from_slice(&value.to_be_bytes());
}

fn word(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The sum of words in ones' complement (RFC 1071).
fn sum(bytes: &[u8]) -> usize {
    let mut sum: usize = bytes.chunks_exact(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
