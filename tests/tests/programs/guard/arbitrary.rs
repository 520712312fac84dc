//! Arbitrary frames: the program says what a plain reading of the rules says, and dies of none.

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

/// Frames tried of each kind.
const CASES: u32 = 30_000;

/// What a frame is counted as where nobody is limited. Whether an initiation is one of a flow with
/// data depends on what came before: here it never is.
fn expected(frame: &[u8]) -> Option<Outcome> {
    let (ip, is_v4) = behind_tags(frame)?;
    let (udp, room, is_first_fragment) = if is_v4 { behind_v4(ip)? } else { behind_v6(ip)? };
    let header = udp.get(..8)?;
    if number(&header[2..4]) != usize::from(PORT) {
        return None;
    }
    let kind = udp.get(8..12).map(|bytes| (bytes[0], bytes[1..] == [0, 0, 0]));
    let is_handshake = matches!(kind, Some((1..=3, true)));
    if is_first_fragment {
        return is_handshake.then_some(Outcome::Fragmented);
    }
    let len = number(&header[4..6]);
    if len < 8 || len > room || len > udp.len() {
        return Some(Outcome::Malformed);
    }
    let payload = &udp[8..len];
    Some(match (kind, payload.len()) {
        (Some((4, true)), 32..) => Outcome::Data,
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

/// The IP packet with whatever is behind it, and whether it is IPv4.
fn behind_tags(frame: &[u8]) -> Option<(&[u8], bool)> {
    let mut at = 12;
    for tags in 0.. {
        match number(frame.get(at..at + 2)?) {
            0x8100 | 0x88a8 if tags < 2 => at += 4,
            0x0800 => return Some((&frame[at + 2..], true)),
            0x86dd => return Some((&frame[at + 2..], false)),
            _ => return None,
        }
    }
    None
}

/// What IP carries, with whatever is behind it; its length; whether it is a first fragment.
fn behind_v4(ip: &[u8]) -> Option<(&[u8], usize, bool)> {
    let header = ip.get(..20)?;
    let len = usize::from(header[0] & 15) * 4;
    let fragment = number(&header[6..8]);
    if header[0] >> 4 != 4 || len < 20 || header[9] != 17 || fragment & 0x1fff != 0 {
        return None;
    }
    let room = number(&header[2..4]).checked_sub(len)?;
    Some((ip.get(len..)?, room, fragment & 0x2000 != 0))
}

fn behind_v6(ip: &[u8]) -> Option<(&[u8], usize, bool)> {
    let header = ip.get(..40)?;
    let len = number(&header[4..6]);
    match header[6] {
        _ if header[0] >> 4 != 6 => None,
        17 => Some((&ip[40..], len, false)),
        44 => {
            let fragment = ip.get(40..48)?;
            let field = number(&fragment[2..4]);
            let is_udp_from_its_start = fragment[0] == 17 && field & 0xfff8 == 0;
            is_udp_from_its_start.then_some((&ip[48..], len.checked_sub(8)?, field & 1 != 0))
        }
        _ => None,
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// Runs it on frames of a kind. Failing seeds are kept beside those of the other tests.
fn agree(frames: impl Strategy<Value = Vec<u8>>) {
    let guard = RefCell::new(GuardRun::new(&settings(u32::MAX)));
    let config = Config { cases: CASES, source_file: Some(file!()), ..Config::default() };
    let result = TestRunner::new(config).run(&frames, |frame| {
        let expected = expected(&frame);
        let (passed, found) = guard.borrow_mut().run(&frame);
        let found = match found {
            Some(Outcome::InitiationOfFlow) => Some(Outcome::Initiation),
            found => found,
        };
        prop_assert_eq!(found, expected);
        prop_assert_eq!(passed, !expected.is_some_and(Outcome::drops));
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
    let tags = vec(select(vec![TAG, SERVICE_TAG]), 0..4);
    let fragment = prop_oneof![
        4 => Just(None),
        1 => (0u16..3, any::<bool>()).prop_map(Some),
    ];
    let udp_len = prop_oneof![4 => Just(None), 1 => (0u16..300).prop_map(Some)];
    let oddities = (tags, 0usize..=10, fragment, udp_len, 0usize..50);
    (any::<bool>(), ports, any_message(), oddities).prop_map(
        |(is_v4, (port, source_port), message, (tags, options, fragment, udp_len, trailer))| {
            let [source, relay] = match is_v4 {
                true => ["198.51.100.2", "192.0.2.1"],
                false => ["2001:db8:1::2", "2001:db8::1"],
            };
            let source = SocketAddr::new(source.parse().expect("an address"), source_port);
            let relay = SocketAddr::new(relay.parse().expect("an address"), port);
            let mut outer = Outer::new(source, relay, &message).tagged(&tags);
            outer = outer.with_trailer(trailer);
            if is_v4 && fragment.is_none() {
                outer = outer.with_options(options);
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

#[test]
fn bytes_without_any_order() {
    if possible("guard::arbitrary::bytes") {
        agree(vec(any::<u8>(), 14..300));
    }
}

#[test]
fn frames_that_are_nearly_right() {
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
