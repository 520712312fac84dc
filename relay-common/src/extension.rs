//! IPv6 extension headers (RFC 8200, section 4).

use crate::{
    Reason,
    header::protocol::{self, AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT},
};

/// Largest number of extension headers in a packet. No packet in practical use has more.
pub const MAX_EXTENSIONS: u32 = 6;

/// Mobility header (RFC 6275, section 6.1), HIP (RFC 7401, section 5.1), Shim6 (RFC 5533,
/// section 5.1), each in the form of RFC 6564.
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Bytes of an extension header that are examined.
pub const EXAMINED_LEN: u32 = 4;

/// What follows a header, by its "next header" field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// An extension header that routers skip.
    Extension,
    /// The payload, or something that no header can follow.
    Payload,
}

/// What a "next header" field announces.
///
/// # Errors
/// A header that every router must examine, or one that chooses the route.
#[inline(always)]
pub const fn announced(next_header: u8) -> Result<Announced, Reason> {
    match next_header {
        protocol::HOP_BY_HOP => Err(Reason::IpOptions),
        protocol::ROUTING => Err(Reason::SourceRouting),
        DESTINATION_OPTIONS | FRAGMENT | AUTHENTICATION | MOBILITY | HOST_IDENTITY | SHIM6 => {
            Ok(Announced::Extension)
        }
        _ => Ok(Announced::Payload),
    }
}

/// What follows the extension header `kind` that begins with these bytes: the next number, and the
/// length of this header. `None` for a fragment other than the first, which has no further headers.
#[inline(always)]
pub const fn step(kind: u8, beginning: [u8; EXAMINED_LEN as usize]) -> Option<(u8, u32)> {
    let [next, len, offset_high, offset_low] = beginning;
    let len = len as u32;
    match kind {
        FRAGMENT if offset_high != 0 || offset_low & 0xf8 != 0 => None,
        FRAGMENT => Some((next, 8)),
        AUTHENTICATION => Some((next, (len + 2) * 4)),
        _ => Some((next, (len + 1) * 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_routers_must_examine_drop_the_packet() {
        assert_eq!(announced(0), Err(Reason::IpOptions));
        assert_eq!(announced(43), Err(Reason::SourceRouting));
        for extension in [44, 51, 60, 135, 139, 140] {
            assert_eq!(announced(extension), Ok(Announced::Extension), "{extension}");
        }
        // TCP, UDP, ICMPv6, ESP, no next header, IPv4 and IPv6 in IPv6.
        for payload in [6, 17, 58, 50, 59, 4, 41] {
            assert_eq!(announced(payload), Ok(Announced::Payload), "{payload}");
        }
    }

    #[test]
    fn each_header_has_its_own_unit_of_length() {
        assert_eq!(step(DESTINATION_OPTIONS, [17, 0, 0, 0]), Some((17, 8)));
        assert_eq!(step(DESTINATION_OPTIONS, [17, 2, 9, 9]), Some((17, 24)));
        assert_eq!(step(AUTHENTICATION, [6, 4, 0, 0]), Some((6, 24)));
        assert_eq!(step(DESTINATION_OPTIONS, [17, 255, 0, 0]), Some((17, 2048)));
    }

    #[test]
    fn only_the_first_fragment_has_further_headers() {
        assert_eq!(step(FRAGMENT, [17, 0, 0, 1]), Some((17, 8)));
        assert_eq!(step(FRAGMENT, [17, 0, 0, 8]), None);
        assert_eq!(step(FRAGMENT, [17, 0, 1, 0]), None);
    }
}
