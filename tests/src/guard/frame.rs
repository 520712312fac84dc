//! Ethernet frames with a datagram, well-formed and malformed.

use std::net::{IpAddr, SocketAddr};

use crate::inner::Inner;

/// A datagram and the headers around it.
#[derive(Debug, Clone)]
pub struct Outer {
    source: SocketAddr,
    destination: SocketAddr,
    payload: Vec<u8>,
    tags: Vec<u16>,
    option_words: usize,
    fragment: Option<(u16, bool)>,
    udp_len: Option<u16>,
    protocol: u8,
    trailer: usize,
    extensions: Vec<(u8, Vec<u8>)>,
    ip_len: Option<u16>,
}

/// EtherType of a tag.
pub const TAG: u16 = 0x8100;
/// EtherType of the outer of two tags.
pub const SERVICE_TAG: u16 = 0x88a8;

const UDP: u8 = 17;
const FRAGMENT_HEADER: u8 = 44;

impl Outer {
    /// From an address and port to another.
    pub fn new(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Self {
        Self {
            source,
            destination,
            payload: payload.to_vec(),
            tags: Vec::new(),
            option_words: 0,
            fragment: None,
            udp_len: None,
            protocol: UDP,
            trailer: 0,
            extensions: Vec::new(),
            ip_len: None,
        }
    }

    /// Adds tags with these EtherTypes.
    #[must_use]
    pub fn tagged(mut self, tags: &[u16]) -> Self {
        self.tags = tags.to_vec();
        self
    }

    /// Adds words of options to the IPv4 header, at most ten.
    #[must_use]
    pub fn with_options(mut self, words: usize) -> Self {
        self.option_words = words;
        self
    }

    /// Makes it a fragment: its offset in units of eight bytes, and whether more follow.
    #[must_use]
    pub fn as_fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = Some((offset, more));
        self
    }

    /// Adds an IPv6 extension header: its number, and its bytes except the first.
    #[must_use]
    pub fn with_extension(mut self, number: u8, rest: &[u8]) -> Self {
        self.extensions.push((number, rest.to_vec()));
        self
    }

    /// Sets the length in the IP header: of the packet in IPv4, of the payload in IPv6.
    #[must_use]
    pub fn with_ip_len(mut self, len: u16) -> Self {
        self.ip_len = Some(len);
        self
    }

    /// Sets the length in the UDP header.
    #[must_use]
    pub fn with_udp_len(mut self, len: u16) -> Self {
        self.udp_len = Some(len);
        self
    }

    /// Sets the protocol.
    #[must_use]
    pub fn with_protocol(mut self, protocol: u8) -> Self {
        self.protocol = protocol;
        self
    }

    /// Adds padding after the IP packet, as in short Ethernet frames.
    #[must_use]
    pub fn with_trailer(mut self, len: usize) -> Self {
        self.trailer = len;
        self
    }

    /// The bytes of the frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in &self.tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        let ethertype: u16 = if self.source.is_ipv4() { 0x0800 } else { 0x86dd };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(self.packet());
        frame.extend(vec![0xee; self.trailer]);
        frame
    }

    /// The bytes of the IP packet.
    pub fn packet(&self) -> Vec<u8> {
        let len = u16::try_from(8 + self.payload.len()).expect("fits a datagram");
        let mut udp = Vec::new();
        udp.extend(self.source.port().to_be_bytes());
        udp.extend(self.destination.port().to_be_bytes());
        udp.extend(self.udp_len.unwrap_or(len).to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);
        let (source, destination) = (self.source.ip(), self.destination.ip());
        let inner = match source {
            IpAddr::V6(_) => {
                let (number, transport) = self.behind_extensions(udp);
                let inner = Inner::new(source, destination, number, &transport);
                self.ip_len.into_iter().fold(inner, |inner, len| {
                    let [high, low] = len.to_be_bytes();
                    inner.with_byte(4, high).with_byte(5, low)
                })
            }
            IpAddr::V4(_) => {
                let mut inner = Inner::new(source, destination, self.protocol, &udp);
                for _ in 0..self.option_words {
                    inner = inner.with_options([1; 4]);
                }
                if let Some((offset, more)) = self.fragment {
                    let [high, low] = (offset | u16::from(more) << 13).to_be_bytes();
                    inner = inner.with_byte(6, high).with_byte(7, low);
                }
                if let Some(len) = self.ip_len {
                    let [high, low] = len.to_be_bytes();
                    inner = inner.with_byte(2, high).with_byte(3, low);
                }
                inner.sealed()
            }
        };
        inner.bytes().to_vec()
    }

    /// The payload of IPv6 and its protocol number; a fragment header comes last.
    fn behind_extensions(&self, udp: Vec<u8>) -> (u8, Vec<u8>) {
        let mut extensions = self.extensions.clone();
        if let Some((offset, more)) = self.fragment {
            let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
            extensions.push((FRAGMENT_HEADER, vec![0, high, low, 0, 0, 0, 9]));
        }
        extensions.into_iter().rev().fold((self.protocol, udp), |(next, behind), (number, rest)| {
            (number, [vec![next], rest, behind].concat())
        })
    }
}
