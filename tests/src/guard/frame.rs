//! Ethernet frames with a datagram inside, right ones and ones with something odd.

use std::net::{IpAddr, SocketAddr};

use crate::inner::Inner;

/// A datagram to be put into a frame.
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
        }
    }

    /// Behind tags with these EtherTypes.
    #[must_use]
    pub fn tagged(mut self, tags: &[u16]) -> Self {
        self.tags = tags.to_vec();
        self
    }

    /// With so many words of options in its IPv4 header, at most ten.
    #[must_use]
    pub fn with_options(mut self, words: usize) -> Self {
        self.option_words = words;
        self
    }

    /// As a fragment: where it begins, in units of eight bytes, and whether more follow.
    #[must_use]
    pub fn as_fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = Some((offset, more));
        self
    }

    /// With a UDP header that says to be so long.
    #[must_use]
    pub fn with_udp_len(mut self, len: u16) -> Self {
        self.udp_len = Some(len);
        self
    }

    /// Of another protocol.
    #[must_use]
    pub fn with_protocol(mut self, protocol: u8) -> Self {
        self.protocol = protocol;
        self
    }

    /// With bytes behind the IP packet, as Ethernet pads short frames.
    #[must_use]
    pub fn with_trailer(mut self, len: usize) -> Self {
        self.trailer = len;
        self
    }

    /// The frame.
    ///
    /// # Panics
    /// It is longer than an IP packet can be.
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

    fn packet(&self) -> Vec<u8> {
        let len = u16::try_from(8 + self.payload.len()).expect("fits a datagram");
        let mut udp = Vec::new();
        udp.extend(self.source.port().to_be_bytes());
        udp.extend(self.destination.port().to_be_bytes());
        udp.extend(self.udp_len.unwrap_or(len).to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);
        let (source, destination) = (self.source.ip(), self.destination.ip());
        match (self.fragment, source) {
            (Some((offset, more)), IpAddr::V6(_)) => {
                let field = (offset << 3 | u16::from(more)).to_be_bytes();
                let mut transport = vec![self.protocol, 0, field[0], field[1], 0, 0, 0, 9];
                transport.extend(udp);
                Inner::new(source, destination, FRAGMENT_HEADER, &transport).bytes().to_vec()
            }
            (Some((offset, more)), IpAddr::V4(_)) => {
                let field = (offset | u16::from(more) << 13).to_be_bytes();
                let inner = Inner::new(source, destination, self.protocol, &udp);
                let inner = inner.with_byte(6, field[0]).with_byte(7, field[1]);
                inner.sealed().bytes().to_vec()
            }
            (None, _) => {
                let mut inner = Inner::new(source, destination, self.protocol, &udp);
                for _ in 0..self.option_words {
                    inner = inner.with_options([1; 4]);
                }
                inner.bytes().to_vec()
            }
        }
    }
}
