//! Packets of the histories.

extern crate std;

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::memory::PEERS;
use crate::{
    flow::{Packet, tcp},
    header::{Headers, protocol},
    transport::Transport,
};

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp { ports: [u16; 2], flags: u8 },
    Udp { ports: [u16; 2] },
    Echo { is_request: bool, id: u16 },
    Icmp,
    Protocol(u8),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) from: u8,
    pub(super) to: u8,
    pub(super) is_v4: bool,
    pub(super) kind: Kind,
}

impl Sent {
    /// The packet, read from its bytes.
    pub(super) fn packet(&self) -> Packet {
        let is_v4 = self.is_v4;
        let (number, transport): (u8, Vec<u8>) = match self.kind {
            Kind::Tcp { ports: [from, to], flags } => {
                let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
                (protocol::TCP, [&ports[..], &[0; 8], &[5 << 4, flags], &[0; 6]].concat())
            }
            Kind::Udp { ports: [from, to] } => {
                let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
                (protocol::UDP, [&ports[..], &[0, 8, 0, 0]].concat())
            }
            Kind::Echo { is_request, id } => {
                let icmp_type = match (is_v4, is_request) {
                    (true, true) => 8,
                    (true, false) => 0,
                    (false, true) => 128,
                    (false, false) => 129,
                };
                let id = id.to_be_bytes();
                (icmp(is_v4), vec![icmp_type, 0, 0, 0, id[0], id[1], 0, 1])
            }
            Kind::Icmp => (icmp(is_v4), vec![if is_v4 { 13 } else { 135 }, 0, 0, 0, 0, 0, 0, 0]),
            Kind::Protocol(number) => (number, vec![0; 8]),
        };
        let mut bytes = vec![0; if is_v4 { 20 } else { 40 }];
        let last = bytes.len() - 1;
        if is_v4 {
            (bytes[0], bytes[9], bytes[12], bytes[16]) = (0x45, number, 10, 10);
            (bytes[15], bytes[last]) = (self.from, self.to);
        } else {
            (bytes[0], bytes[6], bytes[8], bytes[24]) = (0x60, number, 0xfd, 0xfd);
            (bytes[23], bytes[last]) = (self.from, self.to);
        }
        bytes.extend(transport);
        let headers = Headers::of(&bytes[..]).expect("a header");
        let transport = Transport::find(&headers, &bytes[..]).expect("no extensions");
        let slots = [self.from, self.to].map(|peer| u32::from(peer) + 1);
        Packet::read(&headers, &transport, &bytes[..], slots)
    }

    /// Whether it may take the fast path.
    pub(super) fn goes_on(&self) -> bool {
        match self.kind {
            Kind::Tcp { flags, .. } => flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0,
            Kind::Udp { .. } => true,
            Kind::Echo { .. } | Kind::Icmp | Kind::Protocol(_) => false,
        }
    }

    pub(super) fn with_flags(mut self, new: u8) -> Self {
        if let Kind::Tcp { flags, .. } = &mut self.kind {
            *flags = new;
        }
        self
    }

    pub(super) fn reply(self) -> Self {
        let kind = match self.kind {
            Kind::Tcp { ports: [from, to], flags } => Kind::Tcp { ports: [to, from], flags },
            Kind::Udp { ports: [from, to] } => Kind::Udp { ports: [to, from] },
            Kind::Echo { is_request, id } => Kind::Echo { is_request: !is_request, id },
            kind @ (Kind::Icmp | Kind::Protocol(_)) => kind,
        };
        Self { from: self.to, to: self.from, kind, ..self }
    }
}

pub(super) fn icmp(is_v4: bool) -> u8 {
    if is_v4 { protocol::ICMP } else { protocol::ICMPV6 }
}

pub(super) fn pair() -> impl Strategy<Value = (u8, u8)> {
    (0..PEERS, 1..PEERS).prop_map(|(from, other)| (from, (from + other) % PEERS))
}

pub(super) fn any_flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => Just(tcp::ACK),
        2 => Just(tcp::SYN | tcp::ACK),
        2 => Just(tcp::SYN),
        1 => Just(tcp::FIN | tcp::ACK),
        1 => Just(tcp::RST),
        1 => any::<u8>(),
    ]
}

pub(super) fn any_sent() -> impl Strategy<Value = Sent> {
    let ports = || (1024u16..1064, prop::sample::select(vec![22u16, 80, 53, 9]), any::<bool>());
    let ports = || ports().prop_map(|(own, of, asks)| if asks { [own, of] } else { [of, own] });
    let kind = prop_oneof![
        6 => (ports(), any_flags()).prop_map(|(ports, flags)| Kind::Tcp { ports, flags }),
        3 => ports().prop_map(|ports| Kind::Udp { ports }),
        2 => (any::<bool>(), 0u16..8).prop_map(|(is_request, id)| Kind::Echo { is_request, id }),
        1 => Just(Kind::Icmp),
        1 => prop::sample::select(vec![4u8, 47, 132]).prop_map(Kind::Protocol),
    ];
    (pair(), any::<bool>(), kind).prop_map(|((from, to), is_v4, kind)| Sent {
        from,
        to,
        is_v4,
        kind,
    })
}
