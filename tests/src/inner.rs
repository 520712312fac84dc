//! Inner packets, well-formed and malformed.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

/// A packet from one address to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner {
    bytes: Vec<u8>,
}

/// Length of an IPv4 header without options.
const IPV4_LEN: usize = 20;
/// Length of the fixed IPv6 header.
const IPV6_LEN: usize = 40;
const UDP: u8 = 17;
const UDP_LEN: usize = 8;
const TCP: u8 = 6;
const TCP_LEN: usize = 20;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

impl Inner {
    /// Any bytes.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    /// UDP with `payload` bytes, TTL or hop limit 64, from port 1024 to port 7.
    pub fn udp(source: IpAddr, destination: IpAddr, payload: usize) -> Self {
        let mut transport = vec![0; UDP_LEN + payload];
        let len = u16::try_from(UDP_LEN + payload).expect("fits a datagram").to_be_bytes();
        transport[..4].copy_from_slice(&[4, 0, 0, 7]);
        transport[4..6].copy_from_slice(&len);
        Self::new(source, destination, UDP, &transport)
    }

    /// A UDP datagram between these ports, with `payload` bytes.
    pub fn datagram(ends: [IpAddr; 2], [from, to]: [u16; 2], payload: usize) -> Self {
        let mut transport = vec![0; UDP_LEN + payload];
        let len = u16::try_from(UDP_LEN + payload).expect("fits a datagram").to_be_bytes();
        transport[..2].copy_from_slice(&from.to_be_bytes());
        transport[2..4].copy_from_slice(&to.to_be_bytes());
        transport[4..6].copy_from_slice(&len);
        Self::new(ends[0], ends[1], UDP, &transport)
    }

    /// A TCP segment between these ports with these flags, without payload.
    pub fn segment(ends: [IpAddr; 2], [from, to]: [u16; 2], flags: u8) -> Self {
        let mut transport = vec![0; TCP_LEN];
        transport[..2].copy_from_slice(&from.to_be_bytes());
        transport[2..4].copy_from_slice(&to.to_be_bytes());
        transport[12] = 5 << 4;
        transport[13] = flags;
        Self::new(ends[0], ends[1], TCP, &transport)
    }

    /// An echo request or reply with this identifier.
    pub fn echo(ends: [IpAddr; 2], is_request: bool, id: u16) -> Self {
        let (protocol, request, reply) = if ends[0].is_ipv4() { (1, 8, 0) } else { (58, 128, 129) };
        let [high, low] = id.to_be_bytes();
        let first = if is_request { request } else { reply };
        Self::new(ends[0], ends[1], protocol, &[first, 0, 0, 0, high, low, 0, 1, 0, 0, 0, 0, 0, 0])
    }

    /// An ICMP error of this type that quotes the first bytes of a packet.
    pub fn error(ends: [IpAddr; 2], icmp_type: u8, quoted: &[u8]) -> Self {
        let protocol = if ends[0].is_ipv4() { 1 } else { 58 };
        let transport = [&[icmp_type, 0, 0, 0, 0, 0, 0, 0], quoted].concat();
        Self::new(ends[0], ends[1], protocol, &transport)
    }

    /// Any transport protocol.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, transport: &[u8]) -> Self {
        let bytes = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                v4(source, destination, protocol, transport)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                v6(source, destination, protocol, transport)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                panic!("{source} and {destination} are of different families")
            }
        };
        Self { bytes }
    }

    /// Fills a UDP datagram of this length, and writes the checksum, which IPv6 requires (RFC 8200,
    /// section 8.1).
    #[must_use]
    pub fn with_payload(mut self, payload: &[u8]) -> Self {
        let start = self.bytes.len() - payload.len();
        self.bytes[start..].copy_from_slice(payload);
        let at = if self.is_v4() { IPV4_LEN } else { IPV6_LEN };
        let addresses = if self.is_v4() { 12..20 } else { 8..40 };
        self.bytes[at + 6..at + 8].fill(0);
        let len = self.bytes[at + 4..at + 6].to_vec();
        let covered = [&self.bytes[addresses], &[0, UDP], &len, &self.bytes[at..]].concat();
        // Zero says that there is none.
        let sum = match checksum(&covered) {
            0 => u16::MAX,
            sum => sum,
        };
        self.bytes[at + 6..at + 8].copy_from_slice(&sum.to_be_bytes());
        self
    }

    /// A part of what follows the IP header, from a multiple of 8 on, as a fragment of the datagram
    /// with this identification. It is the last one if it reaches to the end.
    #[must_use]
    pub fn fragment(&self, part: Range<usize>, id: u16) -> Self {
        let data = &self.bytes[if self.is_v4() { IPV4_LEN } else { IPV6_LEN }..];
        let offset = u16::try_from(part.start).expect("fits a packet");
        let has_more = part.end < data.len();
        let data = &data[part];
        let id = id.to_be_bytes();
        let (source, destination) = self.ends();
        if self.is_v4() {
            let mut first = Self::new(source, destination, self.bytes[9], data);
            first.bytes[4..6].copy_from_slice(&id);
            let word = (offset / 8) | (u16::from(has_more) << 13);
            first.bytes[6..8].copy_from_slice(&word.to_be_bytes());
            return first.sealed();
        }
        let [high, low] = (offset | u16::from(has_more)).to_be_bytes();
        let header = [self.bytes[6], 0, high, low, 0, 0, id[0], id[1]];
        Self::new(source, destination, FRAGMENT, &[&header, data].concat())
    }

    /// Puts an IPv6 header with destination options in front of what follows the IP header.
    #[must_use]
    pub fn with_destination_options(&self) -> Self {
        let (source, destination) = self.ends();
        let options = [&[self.bytes[6], 0, 1, 4, 0, 0, 0, 0], &self.bytes[IPV6_LEN..]].concat();
        Self::new(source, destination, DESTINATION_OPTIONS, &options)
    }

    /// Sets a byte without updating the checksum.
    #[must_use]
    pub fn with_byte(mut self, offset: usize, value: u8) -> Self {
        self.bytes[offset] = value;
        self
    }

    /// Sets TTL or hop limit.
    #[must_use]
    pub fn with_ttl(self, ttl: u8) -> Self {
        if self.is_v4() { self.with_byte(8, ttl).sealed() } else { self.with_byte(7, ttl) }
    }

    /// Sets the "don't fragment" flag of IPv4.
    #[must_use]
    pub fn with_dont_fragment(self) -> Self {
        self.with_byte(6, 0x40).sealed()
    }

    /// Updates the checksum of the IPv4 header.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        let header = usize::from(self.bytes[0] & 15) * 4;
        self.bytes[10] = 0;
        self.bytes[11] = 0;
        let sum = checksum(&self.bytes[..header]).to_be_bytes();
        self.bytes[10] = sum[0];
        self.bytes[11] = sum[1];
        self
    }

    /// Adds four bytes of options to the IPv4 header.
    #[must_use]
    pub fn with_options(mut self, options: [u8; 4]) -> Self {
        self.bytes.splice(IPV4_LEN..IPV4_LEN, options);
        self.bytes[0] += 1;
        let len = u16::try_from(self.bytes.len()).expect("fits a packet").to_be_bytes();
        self.bytes[2..4].copy_from_slice(&len);
        self.sealed()
    }

    /// The bytes of the packet.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn ends(&self) -> (IpAddr, IpAddr) {
        let v4 = |at: usize| <[u8; 4]>::try_from(&self.bytes[at..at + 4]).expect("a header").into();
        let v6 =
            |at: usize| <[u8; 16]>::try_from(&self.bytes[at..at + 16]).expect("a header").into();
        if self.is_v4() { (v4(12), v4(16)) } else { (v6(8), v6(24)) }
    }

    fn is_v4(&self) -> bool {
        self.bytes[0] >> 4 == 4
    }
}

fn v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let len = u16::try_from(IPV4_LEN + transport.len()).expect("fits a packet").to_be_bytes();
    let mut bytes = vec![0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(transport);
    Inner { bytes }.sealed().bytes
}

fn v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let len = u16::try_from(transport.len()).expect("fits a packet").to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(transport);
    debug_assert_eq!(bytes.len(), IPV6_LEN + transport.len());
    bytes
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
