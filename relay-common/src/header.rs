//! Inner IP headers, copied out of the packet as words in memory order.

#![expect(clippy::cast_possible_truncation, reason = "fields are cut out of wider words")]

use crate::{Reason, bytes::Bytes, checksum};

/// Length of an IPv4 header without options, bytes.
pub const IPV4_LEN: u32 = 20;
/// First byte of an IPv4 header without options: version and length.
pub const PLAIN_IPV4: u8 = 0x45;
/// Length of the fixed IPv6 header, bytes.
pub const IPV6_LEN: u32 = 40;

/// Protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header (RFC 8200, section 4.5).
    pub const FRAGMENT: u8 = 44;
    /// Authentication header (RFC 4302, section 2).
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options (RFC 8200, section 4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// An inner IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// Version 4.
    V4(Ipv4Header),
    /// Version 6.
    V6(Ipv6Header),
}

/// The first 20 bytes of an IPv4 packet (RFC 791, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Header([u32; 5]);

/// The fixed header of an IPv6 packet (RFC 8200, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Header([u64; 5]);

impl Headers {
    /// The header that a packet begins with, by its version; `None` if it has another version or is
    /// shorter than its header.
    pub fn of(packet: &(impl Bytes + ?Sized)) -> Option<Self> {
        match packet.read::<u8>(0)? >> 4 {
            4 => packet.read(0).map(|words| Self::V4(Ipv4Header::new(words))),
            6 => packet.read(0).map(|words| Self::V6(Ipv6Header::new(words))),
            _ => None,
        }
    }

    /// Checks the header of a packet of `len` bytes.
    ///
    /// # Errors
    /// The first field that is wrong.
    #[inline(always)]
    pub fn check(&self, len: u32) -> Result<(), Reason> {
        match self {
            Self::V4(header) => header.check(len),
            Self::V6(header) => header.check(len),
        }
    }
}

impl Ipv4Header {
    /// A header from its words.
    #[inline(always)]
    pub const fn new(words: [u32; 5]) -> Self {
        Self(words)
    }

    /// Checks what ip_rcv_core() (net/ipv4/ip_input.c, 6.12) checks, for a packet of `len` bytes.
    /// Unlike it, drops options and trailing bytes.
    ///
    /// # Errors
    /// The first field that is wrong.
    #[inline(always)]
    pub fn check(&self, len: u32) -> Result<(), Reason> {
        let [first, ..] = self.0[0].to_ne_bytes();
        if first != PLAIN_IPV4 {
            return Err(if first >> 4 == 4 && first > PLAIN_IPV4 {
                Reason::IpOptions
            } else {
                Reason::MalformedHeader
            });
        }
        if u32::from_be(self.0[0]) & 0xffff != len {
            return Err(Reason::MalformedHeader);
        }
        if !checksum::is_valid_ipv4(&self.0) {
            return Err(Reason::BadChecksum);
        }
        Ok(())
    }

    /// Source address, host order.
    #[inline(always)]
    pub const fn source(&self) -> u32 {
        u32::from_be(self.0[3])
    }

    /// Destination address, host order.
    #[inline(always)]
    pub const fn destination(&self) -> u32 {
        u32::from_be(self.0[4])
    }

    /// Whether the first byte is that of IPv4 without options.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        let [first, ..] = self.0[0].to_ne_bytes();
        first == PLAIN_IPV4
    }

    /// Whether the TTL does not allow another hop: it is 0 or 1.
    #[inline(always)]
    pub const fn expires(&self) -> bool {
        self.0[2] & u32::from_be_bytes([0xfe, 0, 0, 0]).to_be() == 0
    }

    /// Type of service.
    #[inline(always)]
    pub const fn tos(&self) -> u8 {
        (u32::from_be(self.0[0]) >> 16) as u8
    }

    /// Time to live.
    #[inline(always)]
    pub const fn ttl(&self) -> u8 {
        (u32::from_be(self.0[2]) >> 24) as u8
    }

    /// The third word with the TTL decremented, to be written back into the packet.
    #[inline(always)]
    pub const fn decremented(&self) -> u32 {
        checksum::decrement_ttl(self.0[2])
    }

    /// Protocol number.
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        (u32::from_be(self.0[2]) >> 16) as u8
    }

    /// Whether routers must not fragment the packet.
    #[inline(always)]
    pub const fn dont_fragment(&self) -> bool {
        u32::from_be(self.0[1]) & 0x4000 != 0
    }

    /// Identification, flags and fragment offset.
    #[inline(always)]
    pub const fn fragment_word(&self) -> u32 {
        u32::from_be(self.0[1])
    }

    /// Whether the packet is a fragment.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.0[1] & u32::from_be_bytes([0, 0, 0x3f, 0xff]).to_be() != 0
    }

    /// Whether the packet is a fragment other than the first, without a transport header.
    #[inline(always)]
    pub const fn is_later_fragment(&self) -> bool {
        u32::from_be(self.0[1]) & 0x1fff != 0
    }
}

impl Ipv6Header {
    /// A header from its words.
    #[inline(always)]
    pub const fn new(words: [u64; 5]) -> Self {
        Self(words)
    }

    /// Checks what ip6_rcv_core() (net/ipv6/ip6_input.c, 6.12) checks, for a packet of `len` bytes,
    /// except extension headers, which [`crate::extension`] checks.
    ///
    /// # Errors
    /// The first field that is wrong.
    #[inline(always)]
    pub fn check(&self, len: u32) -> Result<(), Reason> {
        let [first, ..] = self.0[0].to_ne_bytes();
        let payload_len = (u64::from_be(self.0[0]) >> 16) & 0xffff;
        if first >> 4 != 6 || payload_len + IPV6_LEN as u64 != len as u64 {
            return Err(Reason::MalformedHeader);
        }
        Ok(())
    }

    /// Whether the first byte is that of IPv6.
    #[inline(always)]
    pub const fn is_v6(&self) -> bool {
        let [first, ..] = self.0[0].to_ne_bytes();
        first >> 4 == 6
    }

    /// Source address, host order, upper and lower half.
    #[inline(always)]
    pub const fn source(&self) -> [u64; 2] {
        [u64::from_be(self.0[1]), u64::from_be(self.0[2])]
    }

    /// Destination address, host order, upper and lower half.
    #[inline(always)]
    pub const fn destination(&self) -> [u64; 2] {
        [u64::from_be(self.0[3]), u64::from_be(self.0[4])]
    }

    /// Traffic class and flow label, host order.
    #[inline(always)]
    pub const fn flow_info(&self) -> u32 {
        (u64::from_be(self.0[0]) >> 32) as u32 & 0x0fff_ffff
    }

    /// Hop limit.
    #[inline(always)]
    pub const fn hop_limit(&self) -> u8 {
        u64::from_be(self.0[0]) as u8
    }

    /// Next header.
    #[inline(always)]
    pub const fn next_header(&self) -> u8 {
        (u64::from_be(self.0[0]) >> 8) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(bytes: [u8; 20]) -> Ipv4Header {
        Ipv4Header::new(core::array::from_fn(|i| {
            u32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        }))
    }

    /// 192.168.0.1 → 192.168.0.199, UDP, 115 bytes.
    const SAMPLE: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];

    #[test]
    fn fields_are_where_rfc_791_puts_them() {
        let header = ipv4(SAMPLE);
        assert_eq!(header.check(115), Ok(()));
        assert_eq!(header.source(), 0xc0a8_0001);
        assert_eq!(header.destination(), 0xc0a8_00c7);
        assert_eq!((header.ttl(), header.protocol()), (64, protocol::UDP));
        assert!(header.dont_fragment() && !header.is_later_fragment());
        let mut marked = SAMPLE;
        marked[1] = 0xb8;
        assert_eq!((header.tos(), ipv4(marked).tos()), (0, 0xb8));
    }

    #[test]
    fn the_version_tells_which_header_it_is() {
        assert_eq!(Headers::of(&SAMPLE[..]), Some(Headers::V4(ipv4(SAMPLE))));
        assert_eq!(Headers::of(&SAMPLE[..19]), None);
        let mut other = SAMPLE;
        for version in [0, 5, 7] {
            other[0] = version << 4;
            assert_eq!(Headers::of(&other[..]), None, "{version}");
        }
        assert_eq!(Headers::of(&[0x60; 39][..]), None);
    }

    #[test]
    fn each_wrong_field_has_its_reason() {
        let wrong = |index: usize, value: u8, len| {
            let mut bytes = SAMPLE;
            bytes[index] = value;
            ipv4(bytes).check(len)
        };
        assert_eq!(wrong(0, 0x44, 115), Err(Reason::MalformedHeader));
        assert_eq!(wrong(0, 0x46, 115), Err(Reason::IpOptions));
        assert_eq!(wrong(0, 0x65, 115), Err(Reason::MalformedHeader));
        assert_eq!(wrong(3, 0x72, 115), Err(Reason::MalformedHeader));
        assert_eq!(wrong(3, 0x73, 114), Err(Reason::MalformedHeader));
        assert_eq!(wrong(10, 0xb9, 115), Err(Reason::BadChecksum));
    }

    #[test]
    fn ipv6_fields_are_where_rfc_8200_puts_them() {
        let mut bytes = [0u8; 40];
        bytes[0] = 0x60;
        bytes[5] = 24;
        bytes[6] = protocol::ICMPV6;
        bytes[7] = 63;
        bytes[8] = 0xfd;
        bytes[23] = 2;
        bytes[24] = 0xfe;
        bytes[39] = 3;
        let Some(Headers::V6(header)) = Headers::of(&bytes[..]) else { panic!("IPv6") };
        assert_eq!(header.check(64), Ok(()));
        assert_eq!(header.check(65), Err(Reason::MalformedHeader));
        assert_eq!(header.source(), [0xfd00_0000_0000_0000, 2]);
        assert_eq!(header.destination(), [0xfe00_0000_0000_0000, 3]);
        assert_eq!((header.hop_limit(), header.next_header()), (63, protocol::ICMPV6));
    }
}
