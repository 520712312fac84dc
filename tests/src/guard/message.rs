//! WireGuard messages (whitepaper, section 5.4) of the right length and with valid MACs, but made-up
//! ciphertext. The blake2 crate computes MAC1.

use blake2::{
    Blake2s256, Blake2sMac, Digest as _,
    digest::{Mac as _, consts::U16},
};
use relay::model::PublicKey;

/// A handshake initiation; each number gives another message.
pub fn initiation(relay: &PublicKey, number: u32) -> Vec<u8> {
    signed(relay, message(1, 148, number))
}

/// A handshake initiation with a wrong MAC1.
pub fn forged(relay: &PublicKey) -> Vec<u8> {
    let mut message = initiation(relay, 1);
    message[20] ^= 1;
    message
}

/// A handshake response.
pub fn response(relay: &PublicKey, number: u32) -> Vec<u8> {
    signed(relay, message(2, 92, number))
}

/// A cookie reply.
pub fn cookie_reply(number: u32) -> Vec<u8> {
    message(3, 64, number)
}

/// A data message of `len` bytes, at least 32.
pub fn data(len: usize, counter: u64) -> Vec<u8> {
    let mut message = message(4, len, 0);
    message[8..16].copy_from_slice(&counter.to_le_bytes());
    message
}

/// The message with a MAC2, which only the relay can verify.
pub fn with_mac2(mut message: Vec<u8>) -> Vec<u8> {
    let last = message.len() - 1;
    message[last] = 1;
    message
}

/// The message with its MAC1 and no MAC2.
pub fn signed(relay: &PublicKey, mut message: Vec<u8>) -> Vec<u8> {
    let key = Blake2s256::new().chain_update(b"mac1----").chain_update(relay.as_bytes());
    let mut mac = Blake2sMac::<U16>::new_from_slice(&key.finalize()).expect("32 bytes");
    let end = message.len() - 32;
    message[end..].fill(0);
    mac.update(&message[..end]);
    message[end..end + 16].copy_from_slice(&mac.finalize().into_bytes());
    message
}

/// Type, reserved bytes, number, and filler.
fn message(kind: u8, len: usize, number: u32) -> Vec<u8> {
    let filler = (0u8..=255).cycle().map(|byte| byte.wrapping_mul(31) ^ kind);
    let mut message: Vec<u8> = [kind, 0, 0, 0].into_iter().chain(number.to_le_bytes()).collect();
    message.extend(filler.take(len.saturating_sub(8)));
    message
}
