use super::{INITIATION_LEN, RESPONSE_LEN};
use crate::blake2s::{BLOCK_LEN, State, begin, compress};

/// Words of a handshake initiation.
pub const INITIATION_WORDS: usize = INITIATION_LEN as usize / 4;
/// Words of a handshake response.
pub const RESPONSE_WORDS: usize = RESPONSE_LEN as usize / 4;

/// Bytes of a MAC, and of both.
const MAC_LEN: u8 = 16;
const MACS_LEN: u32 = 32;

/// The state of BLAKE2s-128 after the block of its key, HASH("mac1----" ‖ public key of the
/// relay) (WireGuard paper, section 5.4.4).
pub fn keyed(key: &[u8; 32]) -> State {
    let word = |at: usize| match key.get(at * 4..at * 4 + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        Some(_) | None => 0,
    };
    compress(begin(MAC_LEN, 32), word, BLOCK_LEN, false)
}

/// Whether the MAC1 of a handshake initiation is right. `word` gives its words, read as
/// little-endian numbers.
#[inline(always)]
pub fn is_right_initiation(keyed: State, word: impl Fn(usize) -> u32) -> bool {
    const AUTHENTICATED: u32 = INITIATION_LEN - MACS_LEN;
    const WORDS: usize = AUTHENTICATED as usize / 4;
    let state = compress(keyed, &word, 2 * BLOCK_LEN, false);
    let rest = |at: usize| if 16 + at < WORDS { word(16 + at) } else { 0 };
    let state = compress(state, rest, BLOCK_LEN + AUTHENTICATED, true);
    is_equal(state, |at| word(WORDS + at))
}

/// The same of a handshake response.
#[inline(always)]
pub fn is_right_response(keyed: State, word: impl Fn(usize) -> u32) -> bool {
    const AUTHENTICATED: u32 = RESPONSE_LEN - MACS_LEN;
    const WORDS: usize = AUTHENTICATED as usize / 4;
    let first = |at: usize| if at < WORDS { word(at) } else { 0 };
    let state = compress(keyed, first, BLOCK_LEN + AUTHENTICATED, true);
    is_equal(state, |at| word(WORDS + at))
}

/// All of it, though the time it takes tells nobody anything: the key is public.
#[inline(always)]
fn is_equal(state: State, mac1: impl Fn(usize) -> u32) -> bool {
    let [a, b, c, d, ..] = state;
    (a ^ mac1(0)) | (b ^ mac1(1)) | (c ^ mac1(2)) | (d ^ mac1(3)) == 0
}

#[cfg(test)]
mod tests {
    extern crate std;

    use blake2::{
        Blake2s256, Blake2sMac, Digest as _,
        digest::{Mac as _, consts::U16},
    };
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;

    /// HASH("mac1----" ‖ public key), by the other implementation.
    fn key(public_key: &[u8; 32]) -> [u8; 32] {
        Blake2s256::new().chain_update(b"mac1----").chain_update(public_key).finalize().into()
    }

    /// A message with its MAC1, by the other implementation.
    fn signed(public_key: &[u8; 32], mut message: Vec<u8>) -> Vec<u8> {
        let end = message.len() - 32;
        let mut mac = Blake2sMac::<U16>::new_from_slice(&key(public_key)).expect("a key");
        mac.update(&message[..end]);
        message[end..end + 16].copy_from_slice(&mac.finalize().into_bytes());
        message
    }

    fn is_right(public_key: &[u8; 32], message: &[u8]) -> bool {
        let word = |at: usize| {
            u32::from_le_bytes(message[at * 4..at * 4 + 4].try_into().expect("four bytes"))
        };
        let keyed = keyed(&key(public_key));
        match message.len() {
            148 => is_right_initiation(keyed, word),
            92 => is_right_response(keyed, word),
            len => panic!("{len} bytes"),
        }
    }

    proptest! {
        #[test]
        fn a_mac1_is_right_where_another_implementation_says_so(
            public_key: [u8; 32],
            initiation in proptest::collection::vec(any::<u8>(), 148..=148),
            response in proptest::collection::vec(any::<u8>(), 92..=92),
        ) {
            for message in [initiation, response] {
                prop_assert!(!is_right(&public_key, &message));
                prop_assert!(is_right(&public_key, &signed(&public_key, message)));
            }
        }

        /// In MAC2, the last 16 bytes, nothing is MAC1's concern.
        #[test]
        fn every_bit_up_to_mac2_matters(
            public_key: [u8; 32],
            message in proptest::collection::vec(any::<u8>(), 148..=148),
            bit in 0u8..8,
        ) {
            for len in [148, 92] {
                let message = signed(&public_key, message[..len].to_vec());
                for at in 0..len {
                    let mut flipped = message.clone();
                    flipped[at] ^= 1 << bit;
                    prop_assert_eq!(is_right(&public_key, &flipped), at >= len - 16, "byte {}", at);
                }
            }
        }
    }
}
