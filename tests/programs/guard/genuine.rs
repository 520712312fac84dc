//! Messages of WireGuard peers pass, in any frame.

use std::net::SocketAddr;

use relay_common::guard::Outcome;
use relay_tests::guard::{
    GuardRun,
    frame::{SERVICE_TAG, TAG},
    key, message, settings, to_relay,
};

use crate::possible;

/// A message of each type, and its outcome.
fn messages() -> Vec<(Vec<u8>, Outcome)> {
    vec![
        (message::initiation(&key(), 1), Outcome::Initiation),
        (message::with_mac2(message::initiation(&key(), 2)), Outcome::InitiationWithMac2),
        (message::response(&key(), 3), Outcome::Response),
        (message::with_mac2(message::response(&key(), 4)), Outcome::Response),
        (message::cookie_reply(5), Outcome::CookieReply),
        (message::data(32, 1), Outcome::Data),
        (message::data(33, 2), Outcome::Data),
        (message::data(1436, 3), Outcome::Data),
        // Messages that confirm their flow.
        (message::data(32, 0), Outcome::Data),
        (message::data(1436, 64), Outcome::Data),
        (message::data(48, 63), Outcome::Data),
    ]
}

fn sources() -> [SocketAddr; 2] {
    ["198.51.100.2:4500", "[2001:db8:1::2]:4500"].map(|text| text.parse().expect("a source"))
}

#[test]
fn every_message_passes_from_both_families_behind_tags_and_before_padding() {
    if !possible("guard::genuine::every_message") {
        return;
    }
    let mut guard = GuardRun::new(&settings(1000));
    let stacks: [&[u16]; 6] =
        [&[], &[TAG], &[SERVICE_TAG], &[SERVICE_TAG, TAG], &[TAG, TAG, TAG], &[TAG; 4]];
    for source in sources() {
        for (message, expected) in messages() {
            for tags in stacks {
                for trailer in [0, 1, 18, 46] {
                    let outer = to_relay(source, &message).tagged(tags).with_trailer(trailer);
                    let outcome = guard.judge_frame(&outer.frame());
                    assert_eq!(outcome, expected, "{source} {tags:x?} {trailer}");
                }
            }
        }
    }
}

#[test]
fn ip_options_of_every_length_change_nothing() {
    if !possible("guard::genuine::ip_options") {
        return;
    }
    let [source, _] = sources();
    for words in 0..=10 {
        let mut guard = GuardRun::new(&settings(1000));
        for tags in [&[][..], &[SERVICE_TAG, TAG]] {
            for (message, expected) in messages().into_iter().take(8) {
                let outer = to_relay(source, &message).with_options(words).tagged(tags);
                assert_eq!(guard.judge_frame(&outer.frame()), expected, "{words} words");
            }
        }
        let forged = vec![1; 148];
        let outer = to_relay(source, &forged).with_options(words);
        assert_eq!(guard.judge_frame(&outer.frame()), Outcome::Malformed);
    }
}

/// The kernel uses the length in the UDP header if the IP packet is longer.
#[test]
fn bytes_after_the_datagram_are_not_part_of_the_message() {
    if !possible("guard::genuine::behind") {
        return;
    }
    let mut guard = GuardRun::new(&settings(1000));
    for source in sources() {
        for (mut message, expected) in messages().into_iter().take(8) {
            let len = u16::try_from(8 + message.len()).expect("short");
            message.extend([0; 7]);
            let outer = to_relay(source, &message).with_udp_len(len);
            assert_eq!(guard.judge_frame(&outer.frame()), expected);
        }
    }
}

#[test]
fn packets_not_for_the_relay_pass_uncounted() {
    if !possible("guard::genuine::not_for_the_relay") {
        return;
    }
    let mut guard = GuardRun::new(&settings(1));
    let forged = [0xff; 148];
    for source in sources() {
        let to = |port| {
            let mut destination = source;
            destination.set_port(port);
            relay_tests::guard::Outer::new(source, destination, &forged)
        };
        let relay = to_relay(source, &forged);
        for outer in [
            to(51821),
            to(53),
            relay.clone().with_protocol(6),
            relay.clone().with_protocol(50),
            relay.clone().tagged(&[0x88cc]),
            relay.clone().as_fragment(4, false),
            relay.clone().as_fragment(4, true),
            relay.clone().as_fragment(0x1fff, true),
        ] {
            assert_eq!(guard.run(&outer.frame()), (true, None), "{outer:?}");
        }
    }
    for len in 14..60 {
        assert_eq!(guard.run(&vec![0xff; len]), (true, None), "{len} bytes");
    }
}
