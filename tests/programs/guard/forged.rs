//! Messages that no WireGuard peer sends are dropped.

use std::net::SocketAddr;

use relay::datapath::GuardSettings;
use relay_common::guard::Outcome;
use relay_tests::guard::{GuardRun, Outer, key, message, settings, to_relay};

use crate::possible;

const FROM: &str = "198.51.100.2:4500";
const FROM_V6: &str = "[2001:db8:1::2]:4500";

/// Enough initiations for each bit of one.
fn unlimited() -> GuardSettings {
    settings(100_000)
}

/// Flips each bit of a message and checks the outcome; `expected` gives that of a byte.
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

/// The last 16 bytes are MAC2, which the guard cannot verify: with a bit set, the message has a MAC2,
/// and its MAC1 is still valid.
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
            let frame = to_relay(source, &genuine).with_udp_len(len).frame();
            assert_eq!(guard.judge_frame(&frame), Outcome::Malformed, "UDP length {len}");
            // The kernel itself checks data.
            for counter in [0, 1] {
                let frame = to_relay(source, &message::data(148, counter)).with_udp_len(len);
                assert_eq!(guard.judge_frame(&frame.frame()), Outcome::Data, "UDP length {len}");
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

/// Later fragments would bypass the guard.
#[test]
fn a_first_fragment_passes_only_if_it_shows_that_it_is_data() {
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
            (vec![0; 148], true),
            (message::data(1000, 1), false),
        ] {
            for len in [0, 1, 3, 4, 8, 24, 64, message.len()] {
                let outer = to_relay(source, &message[..len]).as_fragment(0, true);
                for trailer in [0, 100] {
                    let frame = outer.clone().with_trailer(trailer).frame();
                    if is_handshake || len < 4 {
                        assert_eq!(guard.judge_frame(&frame), Outcome::Fragmented, "{len}");
                    } else {
                        assert_eq!(guard.run(&frame), (true, None), "{len}");
                    }
                }
            }
        }
        // Half of a UDP header, with padding that looks like the rest and data.
        let message = message::data(100, 1);
        for udp_bytes in 0..12 {
            let headers = if source.is_ipv4() { 20 } else { 8 };
            let outer = to_relay(source, &message).as_fragment(0, true);
            let frame = outer.with_ip_len(headers + udp_bytes).frame();
            assert_eq!(guard.judge_frame(&frame), Outcome::Fragmented, "{udp_bytes} bytes");
        }
    }
    // A fragment that is the whole packet.
    let source = FROM_V6.parse().expect("a source");
    let mut whole = message::initiation(&key(), 1);
    let outer = to_relay(source, &whole).as_fragment(0, false);
    assert_eq!(guard.judge_frame(&outer.frame()), Outcome::Initiation);
    whole[9] ^= 1;
    let outer = to_relay(source, &whole).as_fragment(0, false);
    assert_eq!(guard.judge_frame(&outer.frame()), Outcome::BadMac1);
}

/// Whatever precedes UDP, the message is judged, or the frame is dropped for hiding it.
#[test]
fn no_header_before_udp_lets_a_forged_message_pass() {
    if !possible("guard::forged::no_header") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    let source: SocketAddr = FROM_V6.parse().expect("a source");
    let forged = to_relay(source, &message::forged(&key()));
    let options = |outer: Outer, number| outer.with_extension(number, &[0; 7]);
    // Hop-by-hop options, routing, destination options, authentication.
    for number in [0, 43, 60, 51] {
        for count in 1..20 {
            let outer = (0..count).fold(forged.clone(), |outer, _| options(outer, number));
            let expected = if count > 8 { Outcome::Hidden } else { Outcome::BadMac1 };
            assert_eq!(guard.judge_frame(&outer.frame()), expected, "{count} × {number}");
            let fragment = outer.as_fragment(0, true).frame();
            let expected = if count > 7 { Outcome::Hidden } else { Outcome::Fragmented };
            assert_eq!(guard.judge_frame(&fragment), expected, "{count} × {number}");
        }
    }
    // Of maximum length.
    for len in 0..=255u8 {
        let mut rest = vec![0; 7 + 8 * usize::from(len)];
        rest[0] = len;
        let outer = forged.clone().with_extension(60, &rest);
        let outcome = guard.judge_frame(&outer.frame());
        let expected = if len <= 92 { Outcome::BadMac1 } else { Outcome::Hidden };
        assert_eq!(outcome, expected, "{len}");
    }
    // With length 0, which the stack takes for a jumbogram with hop-by-hop options.
    let jumbo = options(forged.clone(), 0).with_ip_len(0);
    assert_eq!(guard.judge_frame(&jumbo.frame()), Outcome::BadMac1);
    let jumbo = options(forged.clone(), 0).as_fragment(0, false).with_ip_len(0);
    assert_eq!(guard.judge_frame(&jumbo.frame()), Outcome::BadMac1);
    for tags in 0..20 {
        for source in [FROM, FROM_V6] {
            let forged = to_relay(source.parse().expect("a source"), &message::forged(&key()));
            let outer = forged.tagged(&vec![relay_tests::guard::frame::TAG; tags]);
            let expected = if tags > 4 { Outcome::Hidden } else { Outcome::BadMac1 };
            assert_eq!(guard.judge_frame(&outer.frame()), expected, "{tags} tags");
        }
    }
}

/// The kernel queues them with other handshake messages.
#[test]
fn cookie_replies_of_all_sources_have_one_limit_and_confirmed_flows_none() {
    if !possible("guard::forged::cookie_replies") {
        return;
    }
    let mut guard = GuardRun::new(&unlimited());
    assert_eq!(guard.judge(FROM, &message::initiation(&key(), 1)), Outcome::Initiation);
    assert_eq!(guard.judge(FROM, &message::data(32, 0)), Outcome::Data);
    let mut passed = 0;
    for number in 0..2000u32 {
        let [_, _, c, d] = number.to_be_bytes();
        let outcome = guard.judge(&format!("203.0.{c}.{d}:9"), &message::cookie_reply(number));
        passed += u32::from(outcome == Outcome::CookieReply);
        assert!(!outcome.drops() || outcome == Outcome::CookieReplyLimited);
    }
    // A burst of two hundred, then two hundred per second.
    assert!((200..1000).contains(&passed), "{passed}");
    assert_eq!(guard.judge(FROM, &message::cookie_reply(1)), Outcome::CookieReply);
}
