//! ICMP errors the relay sends on its own behalf.

use crate::{
    Reason,
    bucket::Bucket,
    bytes::Bytes,
    checksum,
    header::{Headers, IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, protocol},
    transport::Transport,
};

/// Length of an ICMP or ICMPv6 header, bytes.
pub const ICMP_LEN: u32 = 8;

/// Largest part of the dropped packet that is quoted, bytes. RFC 792 asks for its header and 8 bytes,
/// RFC 4443 for as much as fits an error of 1280 bytes.
pub const MAX_QUOTE: u32 = 128;

/// The quoted beginning of a dropped packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Length, bytes.
    pub len: u32,
    /// Sum of its words ([`checksum::sum`]), the last one padded with zeros.
    pub sum: u64,
}

/// IPv4 header and ICMP header of an error, as words in memory order.
pub type ErrorV4 = [u32; (IPV4_LEN + ICMP_LEN) as usize / 4];
/// IPv6 header and ICMPv6 header of an error, as words in memory order.
pub type ErrorV6 = [u32; (IPV6_LEN + ICMP_LEN) as usize / 4];

/// The error that answers a dropped packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The hop limit was exceeded (RFC 792 type 11; RFC 4443 section 3.3).
    TimeExceeded,
    /// The packet does not fit the MTU (RFC 1191; RFC 4443 section 3.2).
    TooBig,
    /// The policy does not allow the packet (RFC 1812 section 5.2.7.1 code 13; RFC 4443 section 3.1
    /// code 1).
    Prohibited,
}

impl Answer {
    /// The error for a reason. A peer gets the same error whether the destination does not list it
    /// or does not exist. A packet that no router would forward gets none (RFC 1122, section
    /// 3.2.2).
    #[inline(always)]
    pub const fn to(reason: Reason) -> Option<Self> {
        match reason {
            Reason::TtlExceeded => Some(Self::TimeExceeded),
            Reason::TooBig => Some(Self::TooBig),
            Reason::NotInEitherList
            | Reason::NotInSourceList
            | Reason::NotInDestinationList
            | Reason::DestinationUnknown
            | Reason::HostAccess
            | Reason::NoRule
            | Reason::RuleEnded
            | Reason::Disabled
            | Reason::Quota => Some(Self::Prohibited),
            Reason::SourceUnknown
            | Reason::ForwardedIn
            | Reason::Hairpin
            | Reason::MalformedHeader
            | Reason::BadChecksum
            | Reason::IpOptions
            | Reason::SourceRouting
            | Reason::Multicast
            | Reason::Broadcast
            | Reason::LinkLocal
            | Reason::ReservedAddress
            | Reason::Inconsistent
            | Reason::NotRouted
            | Reason::OwnTunnel
            | Reason::FlowLimit
            | Reason::Rate
            | Reason::NoFirstFragment
            | Reason::BadFragment
            | Reason::UnrelatedError
            | Reason::WrongHome
            | Reason::NotHere => None,
        }
    }

    /// Type and code of ICMP, in the upper half of the header's first word.
    const fn v4(self) -> u32 {
        match self {
            Self::TimeExceeded => 0x0b00_0000,
            Self::TooBig => 0x0304_0000,
            Self::Prohibited => 0x030d_0000,
        }
    }

    /// Type and code of ICMPv6, in the upper half of the header's first word.
    const fn v6(self) -> u32 {
        match self {
            Self::TimeExceeded => 0x0300_0000,
            Self::TooBig => 0x0200_0000,
            Self::Prohibited => 0x0101_0000,
        }
    }
}

/// Whether a packet may be answered with an error: not if it is an error itself, nor, in IPv4, a
/// fragment other than the first (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
#[inline(always)]
pub fn may_answer(headers: &Headers, packet: &(impl Bytes + ?Sized)) -> bool {
    let Ok(transport) = Transport::find(headers, packet) else { return false };
    if transport.is_later_fragment {
        return matches!(headers, Headers::V6(_));
    }
    match transport.protocol {
        protocol::ICMP => transport
            .icmp_type(packet)
            .is_some_and(|icmp_type| matches!(icmp_type, 0 | 8 | 9 | 10 | 13..=18)),
        protocol::ICMPV6 => transport.icmp_type(packet).is_some_and(|icmp_type| icmp_type >= 128),
        _ => true,
    }
}

/// The headers of an error to the sender of an IPv4 packet, from `source` (host order). TOS is 0xc0
/// as in icmp_send() (net/ipv4/icmp.c, 6.12).
#[inline(always)]
pub fn error_v4(
    answer: Answer,
    source: u32,
    dropped: &Ipv4Header,
    mtu: u32,
    quote: Quoted,
) -> ErrorV4 {
    let parameter = if let Answer::TooBig = answer { mtu & 0xffff } else { 0 };
    let icmp = [answer.v4().to_be(), parameter.to_be()];
    let sum = checksum::fold(quote.sum + checksum::sum(&icmp));
    let ip = [
        (0x45c0_0000 | (IPV4_LEN + ICMP_LEN + quote.len)).to_be(),
        0x4000u32.to_be(),
        (64 << 24 | (protocol::ICMP as u32) << 16).to_be(),
        source.to_be(),
        dropped.source().to_be(),
    ];
    let ip_sum = checksum::fold(checksum::sum(&ip));
    [
        ip[0],
        ip[1],
        checksum::into_word(ip[2], ip_sum),
        ip[3],
        ip[4],
        checksum::into_word(icmp[0], sum),
        icmp[1],
    ]
}

/// The headers of an error to the sender of an IPv6 packet, from `source` (host order, upper and
/// lower half).
#[inline(always)]
pub fn error_v6(
    answer: Answer,
    source: [u64; 2],
    dropped: &Ipv6Header,
    mtu: u32,
    quote: Quoted,
) -> ErrorV6 {
    let parameter = if let Answer::TooBig = answer { mtu } else { 0 };
    let icmp = [answer.v6().to_be(), parameter.to_be()];
    let len = ICMP_LEN + quote.len;
    let from = words(source);
    let to = words(dropped.source());
    let pseudo = [len.to_be(), (protocol::ICMPV6 as u32).to_be()];
    let sum = quote.sum
        + checksum::sum(&icmp)
        + checksum::sum(&from)
        + checksum::sum(&to)
        + checksum::sum(&pseudo);
    [
        0x6c00_0000u32.to_be(),
        (len << 16 | (protocol::ICMPV6 as u32) << 8 | 64).to_be(),
        from[0],
        from[1],
        from[2],
        from[3],
        to[0],
        to[1],
        to[2],
        to[3],
        checksum::into_word(icmp[0], checksum::fold(sum)),
        icmp[1],
    ]
}

/// The four words of an IPv6 address in network byte order.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are cut out of wider words")]
pub const fn words([high, low]: [u64; 2]) -> [u32; 4] {
    [
        ((high >> 32) as u32).to_be(),
        (high as u32).to_be(),
        ((low >> 32) as u32).to_be(),
        (low as u32).to_be(),
    ]
}

/// Errors to one peer in a burst.
pub const BURST: u32 = 10;

/// Limit of errors to one peer.
pub const ERRORS: Bucket = Bucket::new(10, BURST);

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(packet: &[u8]) -> bool {
        may_answer(&Headers::of(packet).expect("a header"), packet)
    }

    fn ipv4(carried: u8, fragment_offset: u8, icmp_type: u8) -> bool {
        let mut packet = [0; 28];
        packet[0] = 0x45;
        packet[7] = fragment_offset;
        packet[9] = carried;
        packet[20] = icmp_type;
        is_answered(&packet)
    }

    fn ipv6(carried: u8, icmp_type: u8) -> bool {
        let mut packet = [0; 48];
        packet[0] = 0x60;
        packet[6] = carried;
        packet[40] = icmp_type;
        is_answered(&packet)
    }

    #[test]
    fn an_error_is_never_answered_with_an_error() {
        for error in [3, 4, 5, 11, 12] {
            assert!(!ipv4(protocol::ICMP, 0, error));
        }
        assert!(ipv4(protocol::ICMP, 0, 8) && ipv4(protocol::ICMP, 0, 0));
        assert!(!ipv6(protocol::ICMPV6, 1) && !ipv6(protocol::ICMPV6, 4));
        assert!(ipv6(protocol::ICMPV6, 128) && ipv6(protocol::UDP, 0));
    }

    #[test]
    fn a_fragment_other_than_the_first_is_answered_in_ipv6_alone() {
        assert!(ipv4(protocol::UDP, 0, 0) && !ipv4(protocol::UDP, 1, 0));
        let mut fragment = [0; 56];
        fragment[0] = 0x60;
        fragment[6] = protocol::FRAGMENT;
        fragment[43] = 8;
        assert!(is_answered(&fragment));
    }
}
