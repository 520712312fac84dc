//! The Internet checksum (RFC 1071), on words in the order they lie in memory.

/// Whether the checksum of an IPv4 header of 20 bytes is right: its words add up to a multiple of
/// `0xffff`, whatever the byte order of the machine (RFC 1071, section 2 (B)).
///
/// The sum is below 2^35, and not 0 if there is a version. Instead of folding it, it is multiplied
/// by the inverse of `0xffff` modulo 2^64, which takes the multiples, and nothing else, to the
/// numbers from 0 to 2^64 / `0xffff` (Warren, Hacker's Delight, section 10-17).
#[inline(always)]
pub const fn is_right_ipv4(words: &[u32; 5]) -> bool {
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    const { assert!(INVERSE.wrapping_mul(0xffff) == 1) };
    let sum =
        words[0] as u64 + words[1] as u64 + words[2] as u64 + words[3] as u64 + words[4] as u64;
    sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

/// Sum of words, not folded. Room for 2^32 of them.
#[inline(always)]
pub fn sum(words: &[u32]) -> u64 {
    words.iter().map(|&word| word as u64).sum()
}

/// A sum folded to 16 bits, in the byte order of the words that were added.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folding leaves 16 bits")]
pub const fn fold(sum: u64) -> u32 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u32
}

/// A header word with the checksum of a folded sum in its last two bytes, which were zero.
#[inline(always)]
pub const fn into_word(word: u32, folded: u32) -> u32 {
    let checksum = !folded & 0xffff;
    // The last two bytes in memory are the upper half of a little-endian word.
    if cfg!(target_endian = "little") { word | checksum << 16 } else { word | checksum }
}

/// The word of TTL, protocol and checksum with the TTL one less and the checksum updated
/// (RFC 1624, equation 3, as ip_decrease_ttl() in include/net/ip.h does it). The TTL is not 0.
#[inline(always)]
pub const fn decrement_ttl(word: u32) -> u32 {
    if cfg!(target_endian = "little") {
        // The TTL is the lowest byte, and a ones' complement sum in its upper half does not mind
        // the order of bytes: what one off the TTL adds there is the lowest bit of it.
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

    /// RFC 1071 by the letter: 16-bit big-endian words, end-around carry, complement.
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
        fn a_sealed_header_is_right_and_with_a_bit_flipped_is_not(
            bytes in any::<[u8; 20]>(), bit in 0usize..160
        ) {
            let mut header = seal(bytes);
            header[0] |= 1;
            let mut header = seal(header);
            prop_assert!(is_right_ipv4(&words(&header)));
            header[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_right_ipv4(&words(&header)));
        }

        #[test]
        fn decrementing_the_ttl_keeps_the_checksum_right(bytes in any::<[u8; 20]>(), ttl in 1u8..) {
            let mut header = bytes;
            header[0] |= 1;
            header[8] = ttl;
            let header = seal(header);
            let mut words = words(&header);
            words[2] = decrement_ttl(words[2]);
            prop_assert!(is_right_ipv4(&words));
            prop_assert_eq!(words[2].to_ne_bytes()[0], ttl - 1);
            prop_assert_eq!(words[2].to_ne_bytes()[1], header[9]);
        }
    }
}
