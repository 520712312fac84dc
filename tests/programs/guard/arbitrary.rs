//! Arbitrary frames: the program agrees with a plain implementation of the rules.

use std::{cell::RefCell, net::SocketAddr};

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use relay_tests::guard::{
    GuardRun, Outer, PORT,
    frame::{SERVICE_TAG, TAG},
    key, message, reading, settings,
};

use crate::possible;

/// Frames per kind.
const CASES: u32 = 30_000;

/// Runs it on frames of a kind. Failing seeds are stored with those of other tests.
fn agree(frames: impl Strategy<Value = Vec<u8>>) {
    let guard = RefCell::new(GuardRun::new(&settings(u32::MAX)));
    let config = Config { cases: CASES, source_file: Some(file!()), ..Config::default() };
    let result = TestRunner::new(config).run(&frames, |frame| {
        let (expected, found) = reading::compared(&mut guard.borrow_mut(), &frame);
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
