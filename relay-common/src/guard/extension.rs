use crate::header::protocol::{AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};

/// An extension header of the underlay's IPv6 that the host's stack looks behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Next header.
    pub next_header: u8,
    /// Length, bytes.
    pub len: usize,
    /// Offset of a fragment in bytes, and in the lowest bit whether more fragments follow. 0 is no
    /// fragment, or an atomic one, which counts as none (RFC 6946).
    pub fragment: u16,
}

impl Extension {
    /// Reads the first four bytes of a header of the announced number; `None` if the stack does not
    /// look behind it (inet6_add_protocol() in net/ipv6, and ip6_rcv_core(); 6.12).
    #[inline(always)]
    pub const fn new(announced: u8, first: [u8; 4]) -> Option<Self> {
        let [next_header, len, high, low] = first;
        let (len, fragment) = match announced {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => (8 + len as usize * 8, 0),
            AUTHENTICATION => (8 + len as usize * 4, 0),
            FRAGMENT => (8, u16::from_be_bytes([high, low]) & 0xfff9),
            _ => return None,
        };
        Some(Self { next_header, len, fragment })
    }

    /// Whether a number announces one.
    #[inline(always)]
    pub const fn is_one(announced: u8) -> bool {
        Self::new(announced, [0; 4]).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_fragments_are_read_as_the_standards_define_them() {
        let extension = |len, fragment| Some(Extension { next_header: 17, len, fragment });
        for options in [0, 43, 60] {
            assert_eq!(Extension::new(options, [17, 0, 9, 9]), extension(8, 0));
            assert_eq!(Extension::new(options, [17, 255, 9, 9]), extension(2048, 0));
        }
        assert_eq!(Extension::new(51, [17, 4, 0, 0]), extension(24, 0));
        assert_eq!(Extension::new(44, [17, 255, 0, 0]), extension(8, 0));
        assert_eq!(Extension::new(44, [17, 0, 0, 1]), extension(8, 1));
        assert_eq!(Extension::new(44, [17, 0, 0, 0x0e]), extension(8, 8));
        for other in (1..=255).filter(|number| ![43, 44, 51, 60].contains(number)) {
            assert_eq!(Extension::new(other, [17, 0, 0, 0]), None, "{other}");
        }
    }
}
