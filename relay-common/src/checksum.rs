//! The Internet checksum (RFC 1071), on words in memory order.

/// Whether the checksum of a 20-byte IPv4 header is valid: its words add up to a multiple of
/// `0xffff`, whatever the byte order of the machine (RFC 1071, section 2 (B)).
///
/// The sum is below 2^35, and not 0 if there is a version. Instead of being folded it is multiplied
/// by the inverse of `0xffff` modulo 2^64, which maps exactly the multiples to the numbers from 0
/// to 2^64 / `0xffff` (Warren, Hacker's Delight, section 10-17).
#[inline(always)]
pub const fn is_valid_ipv4(words: &[u32; 5]) -> bool {
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    const { assert!(INVERSE.wrapping_mul(0xffff) == 1) };
    let sum =
        words[0] as u64 + words[1] as u64 + words[2] as u64 + words[3] as u64 + words[4] as u64;
    sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

/// Sum of at most 2^32 words, not folded.
#[inline(always)]
pub fn sum(words: &[u32]) -> u64 {
    words.iter().map(|&word| word as u64).sum()
}

/// Folds a sum to 16 bits, in the byte order of the words.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folding leaves 16 bits")]
pub const fn fold(sum: u64) -> u32 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u32
}

/// Puts the checksum of a folded sum into the last two bytes of a word, which are zero.
#[inline(always)]
pub const fn into_word(word: u32, folded: u32) -> u32 {
    let checksum = !folded & 0xffff;
    // The last two bytes in memory are the upper half of a little-endian word.
    if cfg!(target_endian = "little") { word | checksum << 16 } else { word | checksum }
}

/// Decrements the TTL in the word of TTL, protocol and checksum, and updates the checksum
/// (RFC 1624, equation 3, as in ip_decrease_ttl(), include/net/ip.h). The TTL must not be 0.
#[inline(always)]
pub const fn decrement_ttl(word: u32) -> u32 {
    if cfg!(target_endian = "little") {
        // The TTL is the lowest byte of the word, the checksum its upper half. A ones' complement
        // sum does not depend on the byte order: one TTL less is one checksum more.
        let added = word.wrapping_add(0x0001_0000 - 1);
        if word >= 0xfffe_0000 { added.wrapping_add(0x0001_0000) } else { added }
    } else {
        let sum = (word & 0xffff) + 0x0100;
        let sum = (sum & 0xffff) + (sum >> 16);
        ((word & 0xffff_0000) - 0x0100_0000) | sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071, literally: 16-bit big-endian words, end-around carry, complement.
    fn checksum(bytes: &[u8; 20]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("folded")
    }

    fn words(bytes: &[u8; 20]) -> [u32; 5] {
        core::array::from_fn(|i| {
            u32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        })
    }

    fn seal(mut bytes: [u8; 20]) -> [u8; 20] {
        bytes[10] = 0;
        bytes[11] = 0;
        let sum = checksum(&bytes).to_be_bytes();
        bytes[10] = sum[0];
        bytes[11] = sum[1];
        bytes
    }

    proptest! {
        #[test]
        fn a_header_with_its_checksum_is_valid_and_with_a_flipped_bit_is_not(
            bytes in any::<[u8; 20]>(), bit in 0usize..160
        ) {
            let mut header = seal(bytes);
            header[0] |= 1;
            let mut header = seal(header);
            prop_assert!(is_valid_ipv4(&words(&header)));
            header[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_valid_ipv4(&words(&header)));
        }

        #[test]
        fn decrementing_the_ttl_keeps_the_checksum_valid(bytes in any::<[u8; 20]>(), ttl in 1u8..) {
            let mut header = bytes;
            header[0] |= 1;
            header[8] = ttl;
            let header = seal(header);
            let mut words = words(&header);
            words[2] = decrement_ttl(words[2]);
            prop_assert!(is_valid_ipv4(&words));
            prop_assert_eq!(words[2].to_ne_bytes()[0], ttl - 1);
            prop_assert_eq!(words[2].to_ne_bytes()[1], header[9]);
        }
    }
}
