//! ICMP errors the relay sends on its own behalf.

use crate::{
    Reason, checksum,
    header::{IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, protocol},
};

/// Length of an ICMP or ICMPv6 header, bytes.
pub const ICMP_LEN: u32 = 8;

/// Most of the refused packet that is quoted, bytes. RFC 792 asks for its header and 8 bytes;
/// RFC 4443 for more, as long as the error fits 1280.
pub const MAX_QUOTE: u32 = 128;

/// The beginning of a refused packet, as it is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Its length, bytes.
    pub len: u32,
    /// Sum of its words ([`checksum::sum`]), the last one filled up with zeros.
    pub sum: u64,
}

/// IPv4 header and ICMP header of an error, as words in the order they lie in the packet.
pub type ErrorV4 = [u32; (IPV4_LEN + ICMP_LEN) as usize / 4];
/// IPv6 header and ICMPv6 header of an error.
pub type ErrorV6 = [u32; (IPV6_LEN + ICMP_LEN) as usize / 4];

/// What the sender of a refused packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Its hops are used up (RFC 792 type 11; RFC 4443 section 3.3).
    TimeExceeded,
    /// It does not fit the MTU (RFC 1191; RFC 4443 section 3.2).
    TooBig,
    /// The policy forbids it (RFC 1812 section 5.2.7.1 code 13; RFC 4443 section 3.1 code 1).
    Prohibited,
}

impl Answer {
    /// What the sender is told for a reason. Whoever is not on a list hears the same whether or
    /// not the other exists; what no router would forward gets no answer (RFC 1122, 3.2.2).
    #[inline(always)]
    pub const fn to(reason: Reason) -> Option<Self> {
        match reason {
            Reason::TtlExceeded => Some(Self::TimeExceeded),
            Reason::TooBig => Some(Self::TooBig),
            Reason::NotInEitherList
            | Reason::NotInSourceList
            | Reason::NotInDestinationList
            | Reason::DestinationUnknown
            | Reason::HostAccess => Some(Self::Prohibited),
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
            | Reason::OwnTunnel => None,
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

/// Whether an ICMP message of this type may be answered with an error: errors may not (RFC 1122,
/// section 3.2.2).
#[inline(always)]
pub const fn may_answer_icmp(icmp_type: u8) -> bool {
    matches!(icmp_type, 0 | 8 | 9 | 10 | 13..=18)
}

/// Whether an ICMPv6 message of this type may be answered with an error (RFC 4443, section 2.4).
#[inline(always)]
pub const fn may_answer_icmpv6(icmp_type: u8) -> bool {
    icmp_type >= 128
}

/// The headers of an error to the sender of an IPv4 packet, from `source` (host order). TOS is 0xc0 as in icmp_send() (net/ipv4/icmp.c, 6.12).
#[inline(always)]
pub fn error_v4(
    answer: Answer,
    source: u32,
    refused: &Ipv4Header,
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
        refused.source().to_be(),
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
    refused: &Ipv6Header,
    mtu: u32,
    quote: Quoted,
) -> ErrorV6 {
    let parameter = if let Answer::TooBig = answer { mtu } else { 0 };
    let icmp = [answer.v6().to_be(), parameter.to_be()];
    let len = ICMP_LEN + quote.len;
    let from = words(source);
    let to = words(refused.source());
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

/// The four words of an IPv6 address as they lie in a packet.
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

/// Nanoseconds between errors to one peer, on average.
pub const INTERVAL_NS: u64 = 100_000_000;
/// Errors to one peer at once.
pub const BURST: u64 = 10;

/// Whether one more error fits the rate, by the generic cell rate algorithm (ITU-T I.371): `due`
/// is when the bucket is empty again. Gives the new `due`.
#[inline(always)]
pub const fn within_rate(due: u64, now_ns: u64) -> Option<u64> {
    let start = if due > now_ns { due } else { now_ns };
    if start - now_ns > INTERVAL_NS * (BURST - 1) { None } else { Some(start + INTERVAL_NS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_for_every_interval() {
        let mut due = 0;
        let mut passed = 0;
        for _ in 0..100 {
            if let Some(next) = within_rate(due, 1_000_000_000) {
                due = next;
                passed += 1;
            }
        }
        assert_eq!(passed, BURST);
        assert_eq!(within_rate(due, 1_000_000_000 + INTERVAL_NS - 1), None);
        assert!(within_rate(due, 1_000_000_000 + INTERVAL_NS).is_some());
    }

    #[test]
    fn an_error_is_never_answered_with_an_error() {
        for error in [3, 4, 5, 11, 12] {
            assert!(!may_answer_icmp(error));
        }
        assert!(may_answer_icmp(8) && may_answer_icmp(0));
        assert!(!may_answer_icmpv6(1) && !may_answer_icmpv6(4) && may_answer_icmpv6(128));
    }
}
