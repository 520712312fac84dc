//! Arbitrary frames: the program agrees with a plain implementation of the rules.

use std::{cell::RefCell, net::SocketAddr};

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use relay_common::guard::Outcome;
use relay_tests::guard::{
    GuardRun, Outer, PORT,
    frame::{SERVICE_TAG, TAG},
    key, message, settings,
};

use crate::possible;

/// Frames per kind.
const CASES: u32 = 30_000;

/// The expected outcome of a frame without limits and without earlier data of its flow.
fn expected(frame: &[u8]) -> Option<Outcome> {
    let (ip, is_v4) = match behind_tags(frame) {
        Ok(ip) => ip,
        Err(outcome) => return outcome,
    };
    let carried = if is_v4 { behind_v4(ip) } else { behind_v6(ip, frame.len() - ip.len()) };
    let (udp, room, is_first_fragment) = match carried {
        Ok(carried) => carried,
        Err(outcome) => return outcome,
    };
    if room < 8 {
        return is_first_fragment.then_some(Outcome::Fragmented);
    }
    let header = udp.get(..8)?;
    if number(&header[2..4]) != usize::from(PORT) {
        return None;
    }
    let kind = udp.get(8..12).filter(|_| room >= 12);
    let kind = kind.map(|bytes| (bytes[0], bytes[1..] == [0, 0, 0]));
    if is_first_fragment {
        return (kind != Some((4, true))).then_some(Outcome::Fragmented);
    }
    if kind == Some((4, true)) {
        let is_data = (8 + 32..=udp.len()).contains(&room);
        return Some(if is_data { Outcome::Data } else { Outcome::Malformed });
    }
    let len = number(&header[4..6]);
    if len < 8 || len > room || len > udp.len() {
        return Some(Outcome::Malformed);
    }
    let payload = &udp[8..len];
    Some(match (kind, payload.len()) {
        (Some((3, true)), 64) => Outcome::CookieReply,
        (Some((2, true)), 92) if is_signed(payload) => Outcome::Response,
        (Some((1, true)), 148) if is_signed(payload) => {
            let has_mac2 = payload[132..].iter().any(|&byte| byte != 0);
            if has_mac2 { Outcome::InitiationWithMac2 } else { Outcome::Initiation }
        }
        (Some((1, true)), 148) | (Some((2, true)), 92) => Outcome::BadMac1,
        _ => Outcome::Malformed,
    })
}

fn is_signed(payload: &[u8]) -> bool {
    let macs = payload.len() - 32;
    message::signed(&key(), payload.to_vec())[macs..macs + 16] == payload[macs..macs + 16]
}

/// The IP packet with all that follows, and whether it is IPv4; otherwise the outcome of the frame.
fn behind_tags(frame: &[u8]) -> Result<(&[u8], bool), Option<Outcome>> {
    let mut at = 12;
    for tags in 0.. {
        match number(frame.get(at..at + 2).ok_or(None)?) {
            0x8100 | 0x88a8 if tags < 4 => at += 4,
            0x8100 | 0x88a8 => return Err(Some(Outcome::Hidden)),
            0x0800 => return Ok((&frame[at + 2..], true)),
            0x86dd => return Ok((&frame[at + 2..], false)),
            _ => return Err(None),
        }
    }
    Err(None)
}

/// The payload of IP with all that follows; its length; whether it is a first fragment.
type Carried<'a> = (&'a [u8], usize, bool);

fn behind_v4(ip: &[u8]) -> Result<Carried<'_>, Option<Outcome>> {
    let header = ip.get(..20).ok_or(None)?;
    let len = usize::from(header[0] & 15) * 4;
    let fragment = number(&header[6..8]);
    if header[0] >> 4 != 4 || len < 20 || header[9] != 17 || fragment & 0x1fff != 0 {
        return Err(None);
    }
    let room = number(&header[2..4]).checked_sub(len).ok_or(None)?;
    Ok((ip.get(len..).unwrap_or_default(), room, fragment & 0x2000 != 0))
}

/// The stack follows any number of headers. The guard gives up at the ninth, and after 800 bytes of
/// the frame, of which `in_front` precede IP.
fn behind_v6(ip: &[u8], in_front: usize) -> Result<Carried<'_>, Option<Outcome>> {
    let header = ip.get(..40).ok_or(None)?;
    if header[0] >> 4 != 6 {
        return Err(None);
    }
    let (mut next, mut at, mut is_first_fragment) = (header[6], 40, false);
    let end = match number(&header[4..6]) {
        0 if next == 0 => ip.len(),
        len => 40 + len,
    };
    for count in 0.. {
        let is_extension = [0, 43, 44, 51, 60].contains(&next);
        if next == 17 {
            let udp = ip.get(at..).unwrap_or_default();
            return Ok((udp, end.saturating_sub(at), is_first_fragment));
        }
        if !is_extension {
            return Err(None);
        }
        if count == 8 {
            return Err(Some(Outcome::Hidden));
        }
        let first = ip.get(at..at + 4).ok_or(None)?;
        let len = usize::from(first[1]);
        at += match next {
            44 => 8,
            51 => (len + 2) * 4,
            _ => (len + 1) * 8,
        };
        if next == 44 {
            let field = number(&first[2..4]);
            if field & 0xfff8 != 0 {
                return Err(None);
            }
            is_first_fragment |= field & 1 != 0;
        }
        if in_front + at > 800 {
            return Err(Some(Outcome::Hidden));
        }
        next = first[0];
    }
    Err(None)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// Runs it on frames of a kind. Failing seeds are stored with those of other tests.
fn agree(frames: impl Strategy<Value = Vec<u8>>) {
    let guard = RefCell::new(GuardRun::new(&settings(u32::MAX)));
    let config = Config { cases: CASES, source_file: Some(file!()), ..Config::default() };
    let result = TestRunner::new(config).run(&frames, |frame| {
        let expected = expected(&frame);
        let (passed, found) = guard.borrow_mut().run(&frame);
        prop_assert_eq!(passed, !found.is_some_and(Outcome::drops));
        let found = match found {
            Some(Outcome::InitiationOfFlow) => Some(Outcome::Initiation),
            Some(Outcome::CookieReplyLimited) => Some(Outcome::CookieReply),
            // By chance, after many wrong ones from one address and port.
            Some(Outcome::Unverified) if expected == Some(Outcome::BadMac1) => expected,
            found => found,
        };
        prop_assert_eq!(found, expected);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let number = any::<u32>();
    prop_oneof![
        number.prop_map(|number| message::initiation(&key(), number)),
        number.prop_map(|number| message::with_mac2(message::initiation(&key(), number))),
        number.prop_map(|number| message::response(&key(), number)),
        number.prop_map(message::cookie_reply),
        (32usize..1500, 0u64..200).prop_map(|(len, counter)| message::data(len, counter)),
        vec(any::<u8>(), 0..200),
        (0u8..6, vec(any::<u8>(), 0..200))
            .prop_map(|(kind, rest)| { [&[kind, 0, 0, 0][..], &rest].concat() }),
    ]
}

fn any_outer() -> impl Strategy<Value = Outer> {
    let ports = (select(vec![PORT, PORT, PORT, 53, 51821]), any::<u16>());
    let tags = vec(select(vec![TAG, SERVICE_TAG]), 0..6);
    let fragment = prop_oneof![
        4 => Just(None),
        1 => (0u16..3, any::<bool>()).prop_map(Some),
    ];
    let len = || prop_oneof![4 => Just(None), 1 => (0u16..300).prop_map(Some)];
    let extension = (select(vec![0u8, 43, 44, 51, 60, 60, 135]), 0usize..4, 0u16..2, any::<u8>());
    let extensions = prop_oneof![2 => Just(Vec::new()), 1 => vec(extension, 0..10)];
    let oddities = (tags, 0usize..=10, fragment, (len(), len()), 0usize..50, extensions);
    (any::<bool>(), ports, any_message(), oddities).prop_map(
        |(is_v4, (port, source_port), message, oddities)| {
            let (tags, options, fragment, (udp_len, ip_len), trailer, extensions) = oddities;
            let [source, relay] = match is_v4 {
                true => ["198.51.100.2", "192.0.2.1"],
                false => ["2001:db8:1::2", "2001:db8::1"],
            };
            let source = SocketAddr::new(source.parse().expect("an address"), source_port);
            let relay = SocketAddr::new(relay.parse().expect("an address"), port);
            let mut outer = Outer::new(source, relay, &message).tagged(&tags);
            outer = outer.with_trailer(trailer);
            if is_v4 {
                outer = outer.with_options(options);
            } else {
                for (number, words, fragment, filler) in extensions {
                    outer = outer
                        .with_extension(number, &extension_body(number, words, fragment, filler));
                }
            }
            if let Some(len) = ip_len {
                outer = outer.with_ip_len(len);
            }
            if let Some((offset, more)) = fragment {
                outer = outer.as_fragment(offset, more);
            }
            match udp_len {
                Some(len) => outer.with_udp_len(len),
                None => outer,
            }
        },
    )
}

/// An extension header without its first byte, `words` longer than the shortest.
fn extension_body(number: u8, words: usize, fragment: u16, filler: u8) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let mut body = match number {
        44 => vec![filler, high, low],
        // In units of four bytes.
        51 => vec![u8::try_from(2 * words).expect("a few"), filler, filler],
        _ => vec![u8::try_from(words).expect("a few"), filler, filler],
    };
    body.resize(if number == 44 { 7 } else { 7 + 8 * words }, filler);
    body
}

#[test]
fn random_bytes() {
    if possible("guard::arbitrary::bytes") {
        agree(vec(any::<u8>(), 14..300));
    }
}

#[test]
fn nearly_valid_frames() {
    if possible("guard::arbitrary::nearly_right") {
        agree(any_outer().prop_map(|outer| outer.frame()));
    }
}

#[test]
fn frames_cut_short_or_with_bytes_overwritten() {
    if possible("guard::arbitrary::overwritten") {
        let spoilt = vec((0usize..120, any::<u8>()), 0..4);
        agree((any_outer(), spoilt, 14usize..2000).prop_map(|(outer, spoilt, len)| {
            let mut frame = outer.frame();
            for (at, byte) in spoilt {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            frame.truncate(len);
            frame
        }));
    }
}
