use super::{INITIATION_LEN, RESPONSE_LEN};
use crate::blake2s::{BLOCK_LEN, State, WORK_WORDS, Work, begin, finish, prepare, rounds};

/// Words of space in front of a message, for the local state of BLAKE2s.
pub const ROOM: usize = 16;

/// Space for the local state, then a handshake initiation as little-endian words.
pub type Initiation = [u32; ROOM + INITIATION_LEN as usize / 4];
/// Space for the local state, then a handshake response as little-endian words.
pub type Response = [u32; ROOM + RESPONSE_LEN as usize / 4];

/// Bytes of a MAC, and words of MAC1 and MAC2 together.
const MAC_LEN: u8 = 16;
const MACS_WORDS: usize = 8;

/// The state of BLAKE2s-128 after the block of its key, HASH("mac1----" ‖ public key of the
/// relay) (WireGuard paper, section 5.4.4).
pub fn keyed(key: &[u8; 32]) -> State {
    let mut work = [0; WORK_WORDS];
    for (word, bytes) in work[ROOM..].iter_mut().zip(key.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let state = begin(MAC_LEN, 32);
    prepare(&state, &mut work, BLOCK_LEN, false);
    rounds(&mut work);
    finish(&state, &work)
}

/// Whether the MAC1 of an [`Initiation`] or a [`Response`] is valid. Overwrites the message. `rounds`
/// is [`rounds`] or an equivalent.
///
/// The comparison takes constant time, which the key, being public, would not need.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a message is a few words")]
pub fn is_valid<const N: usize>(
    keyed: &State,
    message: &mut [u32; N],
    rounds: impl Fn(&mut Work),
) -> bool {
    let end = const { N - MACS_WORDS };
    let mac1: [u32; 4] = core::array::from_fn(|at| message[end + at]);
    let blocks = (end - ROOM).div_ceil(WORK_WORDS - ROOM);
    for padding in &mut message[end..ROOM + blocks * (WORK_WORDS - ROOM)] {
        *padding = 0;
    }
    let mut state = *keyed;
    for block in 0..blocks {
        // The words of the previous block serve as the local state.
        let at = block * (WORK_WORDS - ROOM);
        let Some(work) = message[at..].first_chunk_mut() else { return false };
        let is_last = block + 1 == blocks;
        let hashed = if is_last { end } else { at + WORK_WORDS } - ROOM;
        prepare(&state, work, BLOCK_LEN + hashed as u32 * 4, is_last);
        rounds(work);
        state = finish(&state, work);
    }
    let [a, b, c, d, ..] = state;
    (a ^ mac1[0]) | (b ^ mac1[1]) | (c ^ mac1[2]) | (d ^ mac1[3]) == 0
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

    const INITIATION: usize = ROOM + 37;
    const RESPONSE: usize = ROOM + 23;

    /// HASH("mac1----" ‖ public key), by another implementation.
    fn key(public_key: &[u8; 32]) -> [u8; 32] {
        Blake2s256::new().chain_update(b"mac1----").chain_update(public_key).finalize().into()
    }

    /// A message with its MAC1, by another implementation.
    fn signed(public_key: &[u8; 32], mut message: Vec<u8>) -> Vec<u8> {
        let end = message.len() - 32;
        let mut mac = Blake2sMac::<U16>::new_from_slice(&key(public_key)).expect("a key");
        mac.update(&message[..end]);
        message[end..end + 16].copy_from_slice(&mac.finalize().into_bytes());
        message
    }

    fn verdict(public_key: &[u8; 32], message: &[u8]) -> bool {
        let keyed = keyed(&key(public_key));
        match message.len() {
            148 => is_valid(&keyed, &mut with_space::<INITIATION>(message), rounds),
            92 => is_valid(&keyed, &mut with_space::<RESPONSE>(message), rounds),
            len => panic!("{len} bytes"),
        }
    }

    fn with_space<const N: usize>(message: &[u8]) -> [u32; N] {
        let mut words = [0; N];
        for (word, bytes) in words[ROOM..].iter_mut().zip(message.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        words
    }

    proptest! {
        #[test]
        fn another_implementation_s_mac1_is_valid(
            public_key: [u8; 32],
            initiation in proptest::collection::vec(any::<u8>(), 148..=148),
            response in proptest::collection::vec(any::<u8>(), 92..=92),
        ) {
            for message in [initiation, response] {
                prop_assert!(!verdict(&public_key, &message));
                prop_assert!(verdict(&public_key, &signed(&public_key, message)));
            }
        }

        /// MAC1 does not cover MAC2, the last 16 bytes.
        #[test]
        fn every_bit_before_mac2_matters(
            public_key: [u8; 32],
            message in proptest::collection::vec(any::<u8>(), 148..=148),
            bit in 0u8..8,
        ) {
            for len in [148, 92] {
                let message = signed(&public_key, message[..len].to_vec());
                for at in 0..len {
                    let mut flipped = message.clone();
                    flipped[at] ^= 1 << bit;
                    prop_assert_eq!(verdict(&public_key, &flipped), at >= len - 16, "byte {}", at);
                }
            }
        }
    }
}
