use crate::header::protocol;

/// IPv6 fragment header (RFC 8200, section 4.5).
const FRAGMENT: u8 = 44;
/// Authentication header (RFC 4302).
const AUTHENTICATION: u8 = 51;
/// IPv6 destination options (RFC 8200, section 4.6).
const DESTINATION_OPTIONS: u8 = 60;

/// A header between that of IPv6 and what IPv6 carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// What follows it.
    pub next_header: u8,
    /// Its length, bytes.
    pub len: usize,
    /// Of a fragment: where it begins, in units of eight bytes, times eight; and whether more
    /// follow, as the lowest bit. 0 is no fragment, or one that is all there is, which counts as
    /// none (RFC 6946).
    pub fragment: u16,
}

impl Extension {
    /// The header that another announced, by its first four bytes; `None` where that is none that
    /// the stack looks behind (inet6_add_protocol() in net/ipv6, and ip6_rcv_core(); 6.12).
    #[inline(always)]
    pub const fn new(announced: u8, first: [u8; 4]) -> Option<Self> {
        let [next_header, len, high, low] = first;
        let (len, fragment) = match announced {
            protocol::HOP_BY_HOP | protocol::ROUTING | DESTINATION_OPTIONS => {
                (8 + len as usize * 8, 0)
            }
            AUTHENTICATION => (8 + len as usize * 4, 0),
            FRAGMENT => (8, u16::from_be_bytes([high, low]) & 0xfff9),
            _ => return None,
        };
        Some(Self { next_header, len, fragment })
    }

    /// Whether what it announces is one of them.
    #[inline(always)]
    pub const fn is_one(announced: u8) -> bool {
        Self::new(announced, [0; 4]).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_fragments_are_read_as_the_standards_have_them() {
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
