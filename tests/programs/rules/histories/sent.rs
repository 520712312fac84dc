//! Packets of the histories.

use std::net::IpAddr;

use proptest::{prelude::*, sample::select};
use relay::model::{Service, Transport};
use relay_common::{
    flow::{Key, tcp},
    header::{Headers, Ipv4Header, Ipv6Header, protocol},
    transport::Ports,
};
use relay_tests::inner::Inner;

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp { ports: [u16; 2], flags: u8 },
    Udp { ports: [u16; 2] },
    Echo { is_request: bool, id: u16 },
    Icmp,
    Protocol(u8),
}

/// A packet from one address to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) ends: [IpAddr; 2],
    pub(super) kind: Kind,
    pub(super) ttl: u8,
    /// Whether IPv6 has a header with destination options in front of the transport header.
    pub(super) has_options: bool,
}

/// What a flow is known by, as its beginner sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conversation {
    pub(super) ends: [IpAddr; 2],
    pub(super) protocol: u8,
    /// Zeros for a protocol without, and the identifier of an echo twice.
    pub(super) ports: [u16; 2],
}

/// Bytes behind the IP header of packets that are cut into fragments.
pub(super) const LONG: usize = 64;

/// Ports of services; [`super::configuration`] has rules for most of them.
pub(super) const TCP_PORTS: [u16; 4] = [22, 80, 443, 25];
pub(super) const UDP_PORTS: [u16; 3] = [53, 123, 4500];
/// Protocols without ports.
pub(super) const PROTOCOLS: [u8; 3] = [47, 132, 4];

impl Sent {
    /// The packet.
    pub(super) fn inner(&self) -> Inner {
        let inner = match self.kind {
            Kind::Tcp { ports, flags } => Inner::segment(self.ends, ports, flags),
            Kind::Udp { ports } => Inner::datagram(self.ends, ports, 8),
            Kind::Echo { is_request, id } => Inner::echo(self.ends, is_request, id),
            // "Timestamp", and "neighbour solicitation".
            Kind::Icmp => Inner::error(self.ends, if self.is_v4() { 13 } else { 135 }, &[]),
            Kind::Protocol(number) => Inner::new(self.ends[0], self.ends[1], number, &[0; 16]),
        };
        let inner = if self.options_len() > 0 { inner.with_destination_options() } else { inner };
        inner.with_ttl(self.ttl)
    }

    /// The packet with as much data as it takes to cut it into fragments.
    pub(super) fn long(&self) -> Inner {
        let inner = self.inner();
        let mut transport = inner.bytes()[self.headers_len()..].to_vec();
        transport.resize(LONG, 0);
        Inner::new(self.ends[0], self.ends[1], self.protocol(), &transport)
    }

    /// Length of the IP header and options.
    pub(super) fn headers_len(&self) -> usize {
        let header = if self.is_v4() { 20 } else { 40 };
        header + self.options_len()
    }

    fn options_len(&self) -> usize {
        if self.has_options && !self.is_v4() { 8 } else { 0 }
    }

    pub(super) fn is_v4(&self) -> bool {
        self.ends[0].is_ipv4()
    }

    /// The service that it asks for if it begins a flow.
    pub(super) fn asked(&self) -> Service {
        match self.kind {
            Kind::Tcp { ports: [_, to], .. } => Service::Port(Transport::Tcp, to),
            Kind::Udp { ports: [_, to] } => Service::Port(Transport::Udp, to),
            Kind::Echo { is_request: true, .. } => Service::Echo,
            Kind::Echo { is_request: false, .. } | Kind::Icmp => Service::Icmp,
            Kind::Protocol(number) => Service::Protocol(number),
        }
    }

    /// The service that was asked for if it is an answer; `None` if it cannot be one.
    pub(super) fn answered(&self) -> Option<Service> {
        match self.kind {
            Kind::Tcp { flags, .. } if flags & (tcp::SYN | tcp::ACK) == tcp::SYN => None,
            Kind::Tcp { ports: [from, _], .. } => Some(Service::Port(Transport::Tcp, from)),
            Kind::Udp { ports: [from, _] } => Some(Service::Port(Transport::Udp, from)),
            Kind::Echo { is_request: false, .. } => Some(Service::Echo),
            Kind::Echo { is_request: true, .. } | Kind::Icmp => None,
            Kind::Protocol(number) => Some(Service::Protocol(number)),
        }
    }

    /// The flow that it begins, if it begins one.
    pub(super) fn conversation(&self) -> Conversation {
        let ports = match self.kind {
            Kind::Tcp { ports, .. } | Kind::Udp { ports } => ports,
            Kind::Echo { id, .. } => [id, id],
            Kind::Icmp | Kind::Protocol(_) => [0, 0],
        };
        Conversation { ends: self.ends, protocol: self.protocol(), ports }
    }

    fn protocol(&self) -> u8 {
        match self.kind {
            Kind::Tcp { .. } => protocol::TCP,
            Kind::Udp { .. } => protocol::UDP,
            Kind::Echo { .. } | Kind::Icmp if self.is_v4() => protocol::ICMP,
            Kind::Echo { .. } | Kind::Icmp => protocol::ICMPV6,
            Kind::Protocol(number) => number,
        }
    }

    /// Flags of a TCP segment; 0 of anything else.
    pub(super) fn flags(&self) -> u8 {
        if let Kind::Tcp { flags, .. } = self.kind { flags } else { 0 }
    }

    /// Whether it may take the fast path.
    pub(super) fn goes_on(&self) -> bool {
        let is_segment = matches!(self.kind, Kind::Tcp { .. } | Kind::Udp { .. });
        self.ttl > 1
            && self.options_len() == 0
            && is_segment
            && self.flags() & (tcp::SYN | tcp::FIN | tcp::RST) == 0
    }

    pub(super) fn with_flags(mut self, new: u8) -> Self {
        if let Kind::Tcp { flags, .. } = &mut self.kind {
            *flags = new;
        }
        self
    }

    /// The same from another port.
    pub(super) fn with_port(mut self, port: u16) -> Self {
        match &mut self.kind {
            Kind::Tcp { ports, .. } | Kind::Udp { ports } => ports[0] = port,
            Kind::Echo { .. } | Kind::Icmp | Kind::Protocol(_) => {}
        }
        self
    }

    pub(super) fn reply(self) -> Self {
        let [from, to] = self.ends;
        let kind = match self.kind {
            Kind::Tcp { ports: [from, to], flags } => Kind::Tcp { ports: [to, from], flags },
            Kind::Udp { ports: [from, to] } => Kind::Udp { ports: [to, from] },
            Kind::Echo { is_request, id } => Kind::Echo { is_request: !is_request, id },
            kind @ (Kind::Icmp | Kind::Protocol(_)) => kind,
        };
        Self { ends: [to, from], kind, ttl: 64, ..self }
    }
}

impl Conversation {
    /// The flow that a packet of this one answers.
    pub(super) const fn answered(&self) -> Self {
        let ([from, to], [one, other]) = (self.ends, self.ports);
        Self { ends: [to, from], protocol: self.protocol, ports: [other, one] }
    }

    /// A packet of its beginner, with these flags if it is a segment.
    pub(super) fn sent(&self, flags: u8) -> Sent {
        let Self { ends, protocol, ports } = *self;
        let kind = match protocol {
            protocol::TCP => Kind::Tcp { ports, flags },
            protocol::UDP => Kind::Udp { ports },
            protocol::ICMP | protocol::ICMPV6 => Kind::Echo { is_request: true, id: ports[0] },
            number => Kind::Protocol(number),
        };
        Sent { ends, kind, ttl: 64, has_options: false }
    }

    /// Its key in the table.
    pub(super) fn key(&self) -> Key {
        let [source, destination] = self.ports;
        let headers = match self.ends {
            [IpAddr::V4(from), IpAddr::V4(to)] => {
                let [from, to] = [from, to].map(|address| u32::from_ne_bytes(address.octets()));
                Headers::V4(Ipv4Header::new([0, 0, 0, from, to]))
            }
            ends => {
                let words = ends.map(|end| match end {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                });
                let [a, b, c, d]: [u64; 4] = bytemuck::cast(words);
                Headers::V6(Ipv6Header::new([0, a, b, c, d]))
            }
        };
        Key::of(&headers, Ports { source, destination }, self.protocol)
    }
}

pub(super) fn any_flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => Just(tcp::ACK),
        2 => Just(tcp::SYN | tcp::ACK),
        2 => Just(tcp::SYN),
        1 => Just(tcp::FIN | tcp::ACK),
        1 => Just(tcp::RST),
        1 => any::<u8>(),
    ]
}

/// Most are from a port of a client to one of a service, some the other way.
pub(super) fn any_kind() -> impl Strategy<Value = Kind> {
    let ports = |services: &[u16]| {
        (1024u16..1034, select(services.to_vec()), prop::bool::weighted(0.8))
            .prop_map(|(own, of, asks)| if asks { [own, of] } else { [of, own] })
    };
    prop_oneof![
        6 => (ports(&TCP_PORTS), any_flags()).prop_map(|(ports, flags)| Kind::Tcp { ports, flags }),
        4 => ports(&UDP_PORTS).prop_map(|ports| Kind::Udp { ports }),
        2 => (any::<bool>(), 0u16..8).prop_map(|(is_request, id)| Kind::Echo { is_request, id }),
        1 => Just(Kind::Icmp),
        2 => select(PROTOCOLS.to_vec()).prop_map(Kind::Protocol),
    ]
}
