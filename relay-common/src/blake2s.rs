//! BLAKE2s (RFC 7693), in the steps of a keyed hash of a short message. The guard has its own
//! implementation of the rounds.

/// The chaining value: eight words.
pub type State = [u32; 8];

/// Bytes of a block.
pub const BLOCK_LEN: u32 = 64;

/// Initialisation vector (section 2.6).
const IV: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Message word schedule, by round (section 2.7).
pub const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// The state before the first block of a hash of `out_len` bytes with a key of `key_len` bytes,
/// which is the first block unless it is empty (section 2.5).
pub const fn begin(out_len: u8, key_len: u8) -> State {
    let mut state = IV;
    state[0] ^= 0x0101_0000 | (key_len as u32) << 8 | out_len as u32;
    state
}

/// Words of a [`Work`]: the local state and a block.
pub const WORK_WORDS: usize = 32;

/// What the rounds work on: sixteen words of the local state, which they change, then the block.
pub type Work = [u32; WORK_WORDS];

/// Puts the local state before a block (section 3.2). `total` counts all bytes up to the end of this
/// block, without its padding.
#[inline(always)]
pub const fn prepare(state: &State, work: &mut Work, total: u32, is_last: bool) {
    let mut at = 0;
    while at < 8 {
        work[at] = state[at];
        work[8 + at] = IV[at];
        at += 1;
    }
    work[12] ^= total;
    if is_last {
        work[14] = !work[14];
    }
}

/// The ten rounds.
pub const fn rounds(work: &mut Work) {
    let mut round = 0;
    while round < SIGMA.len() {
        let order = &SIGMA[round];
        mix(work, [0, 4, 8, 12], order[0], order[1]);
        mix(work, [1, 5, 9, 13], order[2], order[3]);
        mix(work, [2, 6, 10, 14], order[4], order[5]);
        mix(work, [3, 7, 11, 15], order[6], order[7]);
        mix(work, [0, 5, 10, 15], order[8], order[9]);
        mix(work, [1, 6, 11, 12], order[10], order[11]);
        mix(work, [2, 7, 8, 13], order[12], order[13]);
        mix(work, [3, 4, 9, 14], order[14], order[15]);
        round += 1;
    }
}

/// The state after the rounds of a block.
#[inline(always)]
pub fn finish(state: &State, work: &Work) -> State {
    core::array::from_fn(|at| state[at] ^ work[at] ^ work[8 + at])
}

/// The function G (section 3.1).
const fn mix(v: &mut Work, [a, b, c, d]: [usize; 4], x: usize, y: usize) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(v[16 + x]);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(12);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(v[16 + y]);
    v[d] = (v[d] ^ v[a]).rotate_right(8);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(7);
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

    /// A whole hash, from compressions.
    fn hash(out_len: u8, key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut blocks = Vec::new();
        if !key.is_empty() {
            let mut block = key.to_vec();
            block.resize(64, 0);
            blocks.push((block, 64));
        }
        blocks.extend(message.chunks(64).map(|chunk| {
            let mut block = chunk.to_vec();
            block.resize(64, 0);
            (block, chunk.len())
        }));
        if blocks.is_empty() {
            blocks.push((std::vec![0; 64], 0));
        }
        let mut state = begin(out_len, u8::try_from(key.len()).expect("a short key"));
        let mut total = 0;
        for (place, (block, len)) in blocks.iter().enumerate() {
            total += u32::try_from(*len).expect("a short message");
            let mut work = [0; WORK_WORDS];
            for (word, bytes) in work[16..].iter_mut().zip(block.as_chunks().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            prepare(&state, &mut work, total, place + 1 == blocks.len());
            rounds(&mut work);
            state = finish(&state, &work);
        }
        let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes[..out_len.into()].to_vec()
    }

    /// RFC 7693, appendix B.
    #[test]
    fn the_example_of_the_rfc() {
        let answer = [
            0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b, 0xa3, 0x4e, 0xeb,
            0x45, 0x2f, 0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6, 0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c,
            0x86, 0x67, 0x59, 0x82,
        ];
        assert_eq!(hash(32, &[], b"abc"), answer);
    }

    proptest! {
        #[test]
        fn hashes_agree_with_another_implementation(message: Vec<u8>) {
            prop_assert_eq!(hash(32, &[], &message), Blake2s256::digest(&message).to_vec());
        }

        #[test]
        fn keyed_hashes_agree_with_another_implementation(
            key in proptest::collection::vec(any::<u8>(), 1..=32),
            message in proptest::collection::vec(any::<u8>(), 1..300),
        ) {
            let mut other = Blake2sMac::<U16>::new_from_slice(&key).expect("a key");
            other.update(&message);
            prop_assert_eq!(hash(16, &key, &message), other.finalize().into_bytes().to_vec());
        }
    }
}
