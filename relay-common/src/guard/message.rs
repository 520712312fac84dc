/// Length of a handshake initiation, bytes (WireGuard paper, section 5.4.2).
pub const INITIATION_LEN: u32 = 148;
/// Length of a handshake response, bytes (section 5.4.3).
pub const RESPONSE_LEN: u32 = 92;
/// Length of a cookie reply, bytes (section 5.4.7).
pub const COOKIE_REPLY_LEN: u32 = 64;
/// Length of the shortest data message, a keepalive, bytes (section 5.4.6). The length of others is
/// not always a multiple of 16: padding ends at the MTU (section 5.4.6; calculate_skb_padding(),
/// drivers/net/wireguard/send.c, 6.12).
pub const DATA_LEN_MIN: u32 = 32;

/// First four bytes of a data message, as a little-endian number.
pub const DATA: u32 = 4;

/// Type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Handshake initiation.
    Initiation,
    /// Handshake response.
    Response,
    /// Cookie reply.
    CookieReply,
    /// Data, or a keepalive.
    Data,
}

/// The kind of a message, by its first four bytes as a little-endian number (the type and three
/// reserved zero bytes) and its length in bytes. Accepts exactly what validate_header_len()
/// (drivers/net/wireguard/receive.c, 6.12) accepts.
#[inline(always)]
pub const fn kind(first_word: u32, len: u32) -> Option<Kind> {
    match (first_word, len) {
        (DATA, DATA_LEN_MIN..) => Some(Kind::Data),
        (1, INITIATION_LEN) => Some(Kind::Initiation),
        (2, RESPONSE_LEN) => Some(Kind::Response),
        (3, COOKIE_REPLY_LEN) => Some(Kind::CookieReply),
        _ => None,
    }
}

/// Whether the first four bytes, as in [`kind`], announce a handshake message. None of these is
/// long enough to be fragmented.
#[inline(always)]
pub const fn is_handshake(first_word: u32) -> bool {
    matches!(first_word, 1..=3)
}

/// Whether a data message with this counter updates its flow: the first of a session and every 64th,
/// so that the others cost no look-up.
#[inline(always)]
pub const fn is_sample(counter: u64) -> bool {
    counter.is_multiple_of(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_lengths_and_zero_reserved_bytes() {
        for len in 0..2000 {
            assert_eq!(kind(1, len) == Some(Kind::Initiation), len == 148);
            assert_eq!(kind(2, len) == Some(Kind::Response), len == 92);
            assert_eq!(kind(3, len) == Some(Kind::CookieReply), len == 64);
            assert_eq!(kind(4, len) == Some(Kind::Data), len >= 32);
            assert_eq!((kind(0, len), kind(5, len), kind(0x0100_0004, len)), (None, None, None));
        }
    }
}
