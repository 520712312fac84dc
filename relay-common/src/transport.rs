//! The transport header of a packet: where it is, and what it says.

use crate::{
    Reason,
    bytes::Bytes,
    extension::{Announced, MAX_EXTENSIONS, announced, step},
    header::{Headers, IPV4_LEN, IPV6_LEN, protocol},
};

/// What an IP packet carries, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// Protocol number.
    pub protocol: u8,
    /// Offset of the transport header, bytes.
    pub offset: u32,
    /// Whether the packet is a fragment without the transport header.
    pub is_later_fragment: bool,
}

/// Source and destination port, host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

impl Transport {
    /// What directly follows the IP header.
    #[inline(always)]
    pub fn after(headers: &Headers) -> Self {
        match headers {
            Headers::V4(header) => Self {
                protocol: header.protocol(),
                offset: IPV4_LEN,
                is_later_fragment: header.is_later_fragment(),
            },
            Headers::V6(header) => {
                Self { protocol: header.next_header(), offset: IPV6_LEN, is_later_fragment: false }
            }
        }
    }

    /// What follows the IP header and all IPv6 extension headers.
    ///
    /// # Errors
    /// An extension header that drops the packet, too many of them, or one that is cut off.
    #[inline(always)]
    pub fn find(headers: &Headers, packet: &(impl Bytes + ?Sized)) -> Result<Self, Reason> {
        let mut transport = Self::after(headers);
        if matches!(headers, Headers::V4(_)) {
            return Ok(transport);
        }
        for _ in 0..MAX_EXTENSIONS {
            if announced(transport.protocol)? == Announced::Payload {
                return Ok(transport);
            }
            let beginning = packet.read(transport.offset).ok_or(Reason::MalformedHeader)?;
            let Some((next, len)) = step(transport.protocol, beginning) else {
                transport.is_later_fragment = true;
                return Ok(transport);
            };
            transport.protocol = next;
            transport.offset += len;
        }
        match announced(transport.protocol)? {
            Announced::Payload => Ok(transport),
            Announced::Extension => Err(Reason::IpOptions),
        }
    }

    /// Ports of TCP and UDP.
    #[inline(always)]
    pub fn ports(&self, packet: &(impl Bytes + ?Sized)) -> Option<Ports> {
        let [source, destination] = packet.read::<[u16; 2]>(self.offset)?.map(u16::from_be);
        Some(Ports { source, destination })
    }

    /// Type of an ICMP or ICMPv6 message.
    #[inline(always)]
    pub fn icmp_type(&self, packet: &(impl Bytes + ?Sized)) -> Option<u8> {
        packet.read(self.offset)
    }

    /// Length of the headers that every segment of a GSO aggregate repeats, bytes.
    #[inline(always)]
    pub fn segment_header_len(&self, packet: &(impl Bytes + ?Sized)) -> u32 {
        /// Length of a TCP header in 32-bit words, in the upper half of this byte (RFC 9293,
        /// section 3.1).
        const TCP_DATA_OFFSET: u32 = 12;
        let len = match self.protocol {
            protocol::TCP => packet
                .read(self.offset + TCP_DATA_OFFSET)
                .map_or(20, |byte: u8| u32::from(byte >> 4) * 4),
            _ => 8,
        };
        self.offset + len
    }
}
