//! What no WireGuard peer sends is dropped.

use std::net::SocketAddr;

use relay::datapath::GuardSettings;
use relay_common::guard::Outcome;
use relay_tests::guard::{GuardRun, key, message, settings, to_relay};

use crate::possible;

const FROM: &str = "198.51.100.2:4500";
const FROM_V6: &str = "[2001:db8:1::2]:4500";

/// Initiations enough for every bit of one.
fn unlimited() -> GuardSettings {
    settings(100_000)
}

/// Flips each bit of a message, which the guard is to take for what `expected` says of its byte.
fn flip_every_bit(
    guard: &mut GuardRun,
    from: &str,
    genuine: &[u8],
    expected: impl Fn(usize) -> Outcome,
) {
    for byte in 0..genuine.len() {
        for bit in 0..8 {
            let mut flipped = genuine.to_vec();
            flipped[byte] ^= 1 << bit;
            assert_eq!(guard.judge(from, &flipped), expected(byte), "bit {bit} of byte {byte}");
        }
    }
}

/// In the last 16 bytes is MAC2, which the guard cannot judge: a bit there makes the message one
/// with a MAC2, whose MAC1 is right still.
#[test]
fn a_flipped_bit_in_any_byte_of_an_initiation_is_dropped() {
    if !possible("guard::forged::a_flipped_bit") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    for from in [FROM, FROM_V6] {
        let genuine = message::initiation(&key(), 1);
        flip_every_bit(&mut guard, from, &genuine, |byte| match byte {
            0..4 => Outcome::Malformed,
            4..132 => Outcome::BadMac1,
            _ => Outcome::InitiationWithMac2,
        });
        assert_eq!(guard.judge(from, &genuine), Outcome::Initiation);
    }
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_response_is_dropped() {
    if !possible("guard::forged::of_a_response") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    let genuine = message::response(&key(), 1);
    flip_every_bit(&mut guard, FROM, &genuine, |byte| match byte {
        0..4 => Outcome::Malformed,
        4..76 => Outcome::BadMac1,
        _ => Outcome::Response,
    });
}

#[test]
fn another_relays_messages_are_dropped() {
    if !possible("guard::forged::another_relay") {
        return;
    }
    let other = relay::model::PublicKey::from_bytes([8; 32]);
    let mut guard = GuardRun::new(&unlimited());
    assert_eq!(guard.judge(FROM, &message::initiation(&other, 1)), Outcome::BadMac1);
    assert_eq!(guard.judge(FROM, &message::response(&other, 1)), Outcome::BadMac1);
    let with_mac2 = message::with_mac2(message::initiation(&other, 1));
    assert_eq!(guard.judge(FROM, &with_mac2), Outcome::BadMac1);
    let mut rekeyed = GuardRun::new(&GuardSettings { public_key: other, ..unlimited() });
    assert_eq!(rekeyed.judge(FROM, &message::initiation(&other, 1)), Outcome::Initiation);
    assert_eq!(rekeyed.judge(FROM, &message::initiation(&key(), 1)), Outcome::BadMac1);
}

#[test]
fn a_length_that_is_not_the_types_is_malformed() {
    if !possible("guard::forged::a_length") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    for from in [FROM, FROM_V6] {
        for len in 0..200 {
            for kind in 0..=5u8 {
                let mut bytes = vec![0; len];
                if let Some(first) = bytes.first_mut() {
                    *first = kind;
                }
                let expected = match (kind, len) {
                    (1, 148) | (2, 92) => Outcome::BadMac1,
                    (3, 64) => Outcome::CookieReply,
                    (4, 32..) => Outcome::Data,
                    _ => Outcome::Malformed,
                };
                assert_eq!(guard.judge(from, &bytes), expected, "type {kind}, {len} bytes");
            }
        }
    }
}

#[test]
fn a_length_that_udp_and_ip_or_the_frame_disagree_about_is_malformed() {
    if !possible("guard::forged::disagree") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    for from in [FROM, FROM_V6] {
        let source: SocketAddr = from.parse().expect("a source");
        let genuine = message::initiation(&key(), 1);
        for len in [0, 1, 7, 8, 12, 39, 157, 1000, 0xffff] {
            for message in [&genuine, &message::data(148, 1)] {
                let frame = to_relay(source, message).with_udp_len(len).frame();
                assert_eq!(guard.judge_frame(&frame), Outcome::Malformed, "UDP length {len}");
            }
        }
        for bytes in [message::data(100, 1), genuine] {
            let whole = to_relay(source, &bytes).frame();
            for missing in 1..90 {
                let outcome = guard.judge_frame(&whole[..whole.len() - missing]);
                assert_eq!(outcome, Outcome::Malformed, "{missing} bytes missing");
            }
        }
    }
}

/// The rest would go round the guard.
#[test]
fn the_first_fragment_of_a_handshake_is_dropped_and_others_pass() {
    if !possible("guard::forged::fragments") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    for from in [FROM, FROM_V6] {
        let source: SocketAddr = from.parse().expect("a source");
        for (message, is_handshake) in [
            (message::initiation(&key(), 1), true),
            (message::response(&key(), 1), true),
            (message::cookie_reply(1), true),
            (message::data(1000, 1), false),
        ] {
            for len in [8, 24, 64, message.len()] {
                let len = len.min(message.len());
                let outer = to_relay(source, &message[..len]).as_fragment(0, true);
                if is_handshake {
                    assert_eq!(guard.judge_frame(&outer.frame()), Outcome::Fragmented);
                } else {
                    assert_eq!(guard.run(&outer.frame()), (true, None));
                }
            }
        }
    }
    // A fragment that is all there is.
    let source = FROM_V6.parse().expect("a source");
    let mut whole = message::initiation(&key(), 1);
    let outer = to_relay(source, &whole).as_fragment(0, false);
    assert_eq!(guard.judge_frame(&outer.frame()), Outcome::Initiation);
    whole[9] ^= 1;
    let outer = to_relay(source, &whole).as_fragment(0, false);
    assert_eq!(guard.judge_frame(&outer.frame()), Outcome::BadMac1);
}
