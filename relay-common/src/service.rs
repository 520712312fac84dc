//! Services: what a packet that begins a flow asks for, as an index into the table of service
//! classes.

use crate::payload::Payload;

/// Index of TCP port 0; the others follow.
pub const TCP: u32 = 0;
/// Index of UDP port 0; the others follow.
pub const UDP: u32 = 1 << 16;
/// Index of protocol 0; the others follow.
pub const PROTOCOL: u32 = 2 << 16;
/// Index of echo requests of ICMP and ICMPv6.
pub const ECHO: u32 = PROTOCOL + 256;
/// Index of all other messages of ICMP and ICMPv6.
pub const ICMP: u32 = ECHO + 1;
/// Number of indices.
pub const COUNT: u32 = 1 << 18;

const _: () = assert!(ICMP < COUNT);

/// ICMP types of RFC 792, and ICMPv6 types of RFC 4443, section 4.
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// The service that a message of ICMP, or else ICMPv6, asks for if it begins a flow.
#[inline(always)]
pub const fn icmp(is_v4: bool, icmp_type: u8) -> u32 {
    let request = if is_v4 { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
    if icmp_type == request { ECHO } else { ICMP }
}

/// Whether a message of ICMP, or else ICMPv6, is an echo reply.
#[inline(always)]
pub const fn is_reply(is_v4: bool, icmp_type: u8) -> bool {
    icmp_type == if is_v4 { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 }
}

/// Whether a message of ICMP or ICMPv6 reports an error about the packet that it quotes (RFC 792;
/// RFC 4443, section 2.1).
#[inline(always)]
pub const fn is_error(payload: &Payload) -> bool {
    match payload {
        Payload::Icmp(icmp_type) => matches!(icmp_type, 3 | 4 | 11 | 12),
        Payload::Icmpv6(icmp_type) => *icmp_type < 128,
        Payload::Tcp(_) | Payload::Udp(_) | Payload::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_echo_requests_ask_for_an_echo() {
        for icmp_type in 0..=u8::MAX {
            assert_eq!(icmp(true, icmp_type), if icmp_type == 8 { ECHO } else { ICMP });
            assert_eq!(icmp(false, icmp_type), if icmp_type == 128 { ECHO } else { ICMP });
        }
        assert!(is_reply(true, 0) && is_reply(false, 129) && !is_reply(true, 129));
    }

    #[test]
    fn errors_are_those_of_both_families() {
        for error in [3, 4, 11, 12] {
            assert!(is_error(&Payload::Icmp(error)), "{error}");
        }
        for error in [1, 2, 3, 4, 127] {
            assert!(is_error(&Payload::Icmpv6(error)), "{error}");
        }
        for other in [Payload::Icmp(0), Payload::Icmp(8), Payload::Icmp(5), Payload::Icmpv6(128)] {
            assert!(!is_error(&other), "{other:?}");
        }
    }
}
