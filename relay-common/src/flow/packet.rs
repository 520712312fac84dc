use super::{Key, state::tcp};
use crate::{
    bytes::Bytes,
    header::{Headers, protocol},
    service,
    transport::{Ports, Transport},
};

/// A packet between two peers, as the decision sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The key of the flow that it begins, if it begins one.
    pub key: Key,
    /// The service that it asks for if it begins a flow; [`NO_SERVICE`] if it cannot.
    pub asked: u32,
    /// The service that was asked for if it is an answer; [`NO_SERVICE`] if it cannot be one.
    pub answered: u32,
    /// The flags of a TCP header; 0 for other protocols.
    pub flags: u8,
    /// Slot of the sender.
    pub source: u32,
    /// Slot of the receiver.
    pub destination: u32,
}

/// No service.
pub const NO_SERVICE: u32 = u32::MAX;

impl Packet {
    /// Reads a packet whose IP header was checked, between peers with these slots.
    #[inline(always)]
    pub fn read(
        headers: &Headers,
        transport: &Transport,
        packet: &(impl Bytes + ?Sized),
        [source, destination]: [u32; 2],
    ) -> Self {
        let protocol = transport.protocol;
        let is_icmp = match headers {
            Headers::V4(_) => protocol == protocol::ICMP,
            Headers::V6(_) => protocol == protocol::ICMPV6,
        };
        let has_ports = matches!(protocol, protocol::TCP | protocol::UDP);
        let mut ports = Ports { source: 0, destination: 0 };
        let mut flags = 0;
        let mut asked = service::PROTOCOL + u32::from(protocol);
        let mut answered = asked;
        if has_ports {
            let first = if protocol == protocol::TCP { service::TCP } else { service::UDP };
            (asked, answered) = (NO_SERVICE, NO_SERVICE);
            if let Some(read) = transport.ports(packet) {
                ports = read;
                asked = first + u32::from(ports.destination);
                answered = first + u32::from(ports.source);
            }
        }
        if protocol == protocol::TCP {
            flags = packet.read(transport.offset + tcp::FLAGS_AT).unwrap_or(0);
            // A SYN without ACK begins a connection.
            if flags & (tcp::SYN | tcp::ACK) == tcp::SYN {
                answered = NO_SERVICE;
            }
        }
        if is_icmp {
            (asked, answered) = (NO_SERVICE, NO_SERVICE);
            let message: Option<[u8; 8]> = packet.read(transport.offset);
            if let Some([icmp_type, _, _, _, high, low, _, _]) = message {
                let id = u16::from_be_bytes([high, low]);
                ports = Ports { source: id, destination: id };
                let is_v4 = protocol == protocol::ICMP;
                asked = service::icmp(is_v4, icmp_type);
                if service::is_reply(is_v4, icmp_type) {
                    answered = service::ECHO;
                }
            }
        }
        let key = Key::of(headers, ports, protocol);
        Self { key, asked, answered, flags, source, destination }
    }

    /// Whether it accepts a connection: a SYN with ACK.
    #[inline(always)]
    pub const fn accepts(&self) -> bool {
        const ACCEPTS: u8 = tcp::SYN | tcp::ACK;
        self.flags & ACCEPTS == ACCEPTS
    }
}
