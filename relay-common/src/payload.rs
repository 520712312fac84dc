//! What a packet carries, by its transport header: the protocol and its ports or ICMP type.

use crate::{
    bytes::Bytes,
    header::{Headers, protocol},
    transport::{Ports, Transport},
};

/// A packet as decisions see it, beside its two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// TCP.
    Tcp(Ports),
    /// UDP.
    Udp(Ports),
    /// An ICMP message in IPv4, by its type.
    Icmp(u8),
    /// An ICMPv6 message in IPv6, by its type.
    Icmpv6(u8),
    /// Another protocol, or a fragment or a packet too short to have a whole transport header.
    Other,
}

impl Payload {
    /// Reads the transport header.
    #[inline(always)]
    pub fn read(headers: &Headers, transport: &Transport, packet: &(impl Bytes + ?Sized)) -> Self {
        if transport.is_later_fragment {
            return Self::Other;
        }
        let payload = match (transport.protocol, headers) {
            (protocol::TCP, _) => transport.ports(packet).map(Self::Tcp),
            (protocol::UDP, _) => transport.ports(packet).map(Self::Udp),
            (protocol::ICMP, Headers::V4(_)) => transport.icmp_type(packet).map(Self::Icmp),
            (protocol::ICMPV6, Headers::V6(_)) => transport.icmp_type(packet).map(Self::Icmpv6),
            _ => None,
        };
        payload.unwrap_or(Self::Other)
    }

    /// Ports, if the protocol has any.
    #[inline(always)]
    pub const fn ports(&self) -> Option<Ports> {
        match self {
            Self::Tcp(ports) | Self::Udp(ports) => Some(*ports),
            Self::Icmp(_) | Self::Icmpv6(_) | Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;
    use crate::{
        Reason,
        header::{IPV4_LEN, IPV6_LEN},
    };

    /// An IPv4 packet; `fragment` is the field of flags and offset.
    fn ipv4(carried: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = std::vec![0; IPV4_LEN as usize];
        packet[0] = 0x45;
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = carried;
        packet.extend(payload);
        packet
    }

    fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = std::vec![0; IPV6_LEN as usize];
        packet[0] = 0x60;
        packet[6] = next_header;
        packet.extend(payload);
        packet
    }

    fn read(packet: &[u8]) -> Result<Payload, Reason> {
        let headers = Headers::of(packet).expect("a header");
        let transport = Transport::find(&headers, packet)?;
        Ok(Payload::read(&headers, &transport, packet))
    }

    const PORTS: [u8; 4] = [0x12, 0x34, 0, 53];
    const READ: Ports = Ports { source: 0x1234, destination: 53 };

    #[test]
    fn each_protocol_is_read_in_its_family() {
        for make in [|carried, payload: &[u8]| ipv4(carried, 0, payload), ipv6] {
            assert_eq!(read(&make(protocol::TCP, &PORTS)), Ok(Payload::Tcp(READ)));
            assert_eq!(read(&make(protocol::UDP, &PORTS)), Ok(Payload::Udp(READ)));
            assert_eq!(read(&make(132, &PORTS)), Ok(Payload::Other));
            assert_eq!(read(&make(protocol::UDP, &PORTS[..3])), Ok(Payload::Other));
        }
        assert_eq!(read(&ipv4(protocol::ICMP, 0, &[8])), Ok(Payload::Icmp(8)));
        assert_eq!(read(&ipv6(protocol::ICMPV6, &[128])), Ok(Payload::Icmpv6(128)));
        assert_eq!(read(&ipv4(protocol::ICMPV6, 0, &[128])), Ok(Payload::Other));
        assert_eq!(read(&ipv6(protocol::ICMP, &[8])), Ok(Payload::Other));
        assert_eq!(read(&ipv4(protocol::ICMP, 0, &[])), Ok(Payload::Other));
    }

    #[test]
    fn only_the_first_fragment_has_a_transport_header() {
        const MORE: u16 = 0x2000;
        assert_eq!(read(&ipv4(protocol::UDP, MORE, &PORTS)), Ok(Payload::Udp(READ)));
        assert_eq!(read(&ipv4(protocol::UDP, MORE | 1, &PORTS)), Ok(Payload::Other));
        let fragment =
            |offset: u8| [&[protocol::UDP, 0, 0, offset, 0, 0, 0, 0], &PORTS[..]].concat();
        assert_eq!(read(&ipv6(44, &fragment(1))), Ok(Payload::Udp(READ)));
        assert_eq!(read(&ipv6(44, &fragment(9))), Ok(Payload::Other));
    }

    #[test]
    fn too_many_and_truncated_extension_headers_drop_the_packet() {
        let chain = |count: usize| {
            let mut payload = Vec::new();
            for at in 0..count {
                let next = if at + 1 == count { protocol::UDP } else { 60 };
                payload.extend([next, 0, 0, 0, 0, 0, 0, 0]);
            }
            payload.extend(PORTS);
            ipv6(60, &payload)
        };
        assert_eq!(read(&chain(1)), Ok(Payload::Udp(READ)));
        assert_eq!(read(&chain(6)), Ok(Payload::Udp(READ)));
        assert_eq!(read(&chain(7)), Err(Reason::IpOptions));
        assert_eq!(read(&ipv6(60, &[17, 0, 0])), Err(Reason::MalformedHeader));
        assert_eq!(read(&ipv6(protocol::ROUTING, &[0; 8])), Err(Reason::SourceRouting));
    }

    #[test]
    fn segments_repeat_the_headers_in_front_of_them() {
        let len = |packet: &[u8]| {
            let headers = Headers::of(packet).expect("a header");
            Transport::after(&headers).segment_header_len(packet)
        };
        let mut tcp = [0; 20];
        tcp[12] = 8 << 4;
        assert_eq!(len(&ipv4(protocol::TCP, 0, &tcp)), 20 + 32);
        assert_eq!(len(&ipv6(protocol::TCP, &tcp)), 40 + 32);
        assert_eq!(len(&ipv6(protocol::TCP, &[])), 40 + 20);
        assert_eq!(len(&ipv6(protocol::UDP, &[])), 40 + 8);
    }

    proptest! {
        /// Whatever a packet contains, ports are the first two fields behind its headers, and are
        /// read from TCP and UDP alone.
        #[test]
        fn ports_are_read_where_the_headers_end(
            is_v6: bool,
            carried: u8,
            options in proptest::collection::vec(0u8..4, 0..6),
            payload in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let (packet, end) = if is_v6 {
                let mut carries = carried;
                let mut chain = Vec::new();
                for &words in options.iter().rev() {
                    let mut header = std::vec![0; 8 + usize::from(words) * 8];
                    header[..2].copy_from_slice(&[carries, words]);
                    chain = [header, chain].concat();
                    carries = 60;
                }
                let end = IPV6_LEN as usize + chain.len();
                (ipv6(carries, &[chain, payload.clone()].concat()), end)
            } else {
                (ipv4(carried, 0, &payload), IPV4_LEN as usize)
            };
            prop_assume!(!is_v6 || matches!(
                crate::extension::announced(carried),
                Ok(crate::extension::Announced::Payload)
            ));
            let expected = packet.get(end..end + 4).map(|bytes| Ports {
                source: u16::from_be_bytes([bytes[0], bytes[1]]),
                destination: u16::from_be_bytes([bytes[2], bytes[3]]),
            });
            let payload = read(&packet).expect("no header that drops it");
            let has_ports = matches!(carried, protocol::TCP | protocol::UDP);
            prop_assert_eq!(payload.ports(), expected.filter(|_| has_ports));
        }
    }
}
