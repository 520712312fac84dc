//! BLAKE2s (RFC 7693), as much of it as a keyed hash of a short message takes: in a program of
//! the kernel, which has no loops and no buffers to spare.

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

/// Which word of the block goes where, by round (section 2.7).
const SIGMA: [[usize; 16]; 10] = [
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

/// The state of a hash of `out_len` bytes before its first block, which is the key of `key_len`
/// bytes when there is one (section 2.5).
pub const fn begin(out_len: u8, key_len: u8) -> State {
    let mut state = IV;
    state[0] ^= 0x0101_0000 | (key_len as u32) << 8 | out_len as u32;
    state
}

/// Takes in one block: `word` gives its 16 words, read as little-endian numbers; `total` is how
/// many bytes there were with it, up to where it is padded with zeros.
#[inline(always)]
pub fn compress(state: State, word: impl Fn(usize) -> u32, total: u32, is_last: bool) -> State {
    let mut v = [
        state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7], IV[0],
        IV[1], IV[2], IV[3], IV[4], IV[5], IV[6], IV[7],
    ];
    v[12] ^= total;
    if is_last {
        v[14] = !v[14];
    }
    // Written out: a program of the kernel has no use for indices that it must compute.
    round(&mut v, &word, &SIGMA[0]);
    round(&mut v, &word, &SIGMA[1]);
    round(&mut v, &word, &SIGMA[2]);
    round(&mut v, &word, &SIGMA[3]);
    round(&mut v, &word, &SIGMA[4]);
    round(&mut v, &word, &SIGMA[5]);
    round(&mut v, &word, &SIGMA[6]);
    round(&mut v, &word, &SIGMA[7]);
    round(&mut v, &word, &SIGMA[8]);
    round(&mut v, &word, &SIGMA[9]);
    [
        state[0] ^ v[0] ^ v[8],
        state[1] ^ v[1] ^ v[9],
        state[2] ^ v[2] ^ v[10],
        state[3] ^ v[3] ^ v[11],
        state[4] ^ v[4] ^ v[12],
        state[5] ^ v[5] ^ v[13],
        state[6] ^ v[6] ^ v[14],
        state[7] ^ v[7] ^ v[15],
    ]
}

#[inline(always)]
fn round(v: &mut [u32; 16], word: &impl Fn(usize) -> u32, order: &[usize; 16]) {
    mix(v, [0, 4, 8, 12], word, order[0], order[1]);
    mix(v, [1, 5, 9, 13], word, order[2], order[3]);
    mix(v, [2, 6, 10, 14], word, order[4], order[5]);
    mix(v, [3, 7, 11, 15], word, order[6], order[7]);
    mix(v, [0, 5, 10, 15], word, order[8], order[9]);
    mix(v, [1, 6, 11, 12], word, order[10], order[11]);
    mix(v, [2, 7, 8, 13], word, order[12], order[13]);
    mix(v, [3, 4, 9, 14], word, order[14], order[15]);
}

/// The function G (section 3.1).
#[inline(always)]
fn mix(
    v: &mut [u32; 16],
    [a, b, c, d]: [usize; 4],
    word: &impl Fn(usize) -> u32,
    x: usize,
    y: usize,
) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(word(x));
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(12);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(word(y));
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

    /// A whole hash out of compressions.
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
            let word = |at: usize| {
                u32::from_le_bytes(block[at * 4..at * 4 + 4].try_into().expect("four bytes"))
            };
            state = compress(state, word, total, place + 1 == blocks.len());
        }
        let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes[..out_len.into()].to_vec()
    }

    /// RFC 7693, appendix B.
    #[test]
    fn the_known_answer_of_the_rfc() {
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
