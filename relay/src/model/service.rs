use std::fmt;

use super::Transport;

/// What a packet that begins a flow asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A destination port, host byte order.
    Port(Transport, u16),
    /// An echo request of ICMP or ICMPv6.
    Echo,
    /// Another message of ICMP (in IPv4) or ICMPv6 (in IPv6).
    Icmp,
    /// Another protocol, by its number (IANA "Assigned Internet Protocol Numbers").
    Protocol(u8),
}

/// An entry of a rule's `ports`: some services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Services {
    /// Ports `first` to `last`, host byte order. `tcp/22`, `udp/8000-8100`, or `tcp` for all.
    Ports {
        /// TCP or UDP.
        transport: Transport,
        /// Lowest port.
        first: u16,
        /// Highest port, not below `first`.
        last: u16,
    },
    /// Echo requests of both families: `icmp/echo`.
    Echo,
    /// Every message of ICMP and ICMPv6: `icmp`.
    Icmp,
    /// One other protocol, by name (`sctp`) or number (`proto/132`).
    Protocol(u8),
}

/// Protocols with names of their own beside TCP, UDP and ICMP (IANA "Assigned Internet Protocol
/// Numbers").
pub const PROTOCOLS: [(&str, u8); 8] = [
    ("ipip", 4),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ospf", 89),
    ("vrrp", 112),
    ("sctp", 132),
];

impl Services {
    /// Whether a service is one of these.
    pub const fn hold(&self, service: Service) -> bool {
        match (*self, service) {
            (Self::Ports { transport, first, last }, Service::Port(asked, port)) => {
                transport as u8 == asked as u8 && first <= port && port <= last
            }
            (Self::Echo | Self::Icmp, Service::Echo) | (Self::Icmp, Service::Icmp) => true,
            (Self::Protocol(number), Service::Protocol(asked)) => number == asked,
            _ => false,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Port(transport, port) => write!(f, "{transport}/{port}"),
            Self::Echo => f.write_str("icmp/echo"),
            Self::Icmp => f.write_str("icmp"),
            Self::Protocol(number) => protocol(number, f),
        }
    }
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ports { transport, first: 0, last: u16::MAX } => transport.fmt(f),
            Self::Ports { transport, first, last } if first == last => {
                write!(f, "{transport}/{first}")
            }
            Self::Ports { transport, first, last } => write!(f, "{transport}/{first}-{last}"),
            Self::Echo => f.write_str("icmp/echo"),
            Self::Icmp => f.write_str("icmp"),
            Self::Protocol(number) => protocol(number, f),
        }
    }
}

fn protocol(number: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match PROTOCOLS.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => f.write_str(name),
        None => write!(f, "proto/{number}"),
    }
}
