//! Messages from overlay addresses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use relay::datapath::GuardSettings;
use relay_common::guard::Outcome;
use relay_tests::guard::{GuardRun, key, message, settings, to_relay};

use crate::possible;

fn guard(networks: &[&str]) -> GuardRun {
    let overlay = networks.iter().map(|net| net.parse().expect("a network")).collect();
    GuardRun::new(&GuardSettings { overlay, ..settings(1000) })
}

/// Messages that confirm their flow and messages that do not, which are checked in different places.
fn messages() -> [(Vec<u8>, Outcome); 6] {
    [
        (message::data(1436, 1), Outcome::Data),
        (message::data(32, 1), Outcome::Data),
        (message::data(100, 64), Outcome::Data),
        (message::initiation(&key(), 1), Outcome::Initiation),
        (message::response(&key(), 1), Outcome::Response),
        (message::cookie_reply(1), Outcome::CookieReply),
    ]
}

#[test]
fn nothing_from_the_overlay_passes_and_everything_from_its_neighbours_does() {
    if !possible("guard::overlay::nothing") {
        return;
    }
    let several = ["10.3.2.0/24", "10.3.7.1/32", "fd00:1::/64", "fd00:9::/64"];
    for networks in [&["10.3.2.0/24", "fd00:1::/64"][..], &several] {
        let mut guard = guard(networks);
        for (inside, outside) in [
            ("10.3.2.0:40010", "10.3.1.255:40010"),
            ("10.3.2.255:40010", "10.3.3.0:40010"),
            ("[fd00:1::]:40010", "[fd00:0:ffff:ffff:ffff:ffff:ffff:ffff]:40010"),
            ("[fd00:1::ffff:ffff:ffff:ffff]:40010", "[fd00:1:0:1::]:40010"),
        ] {
            for (message, outcome) in messages() {
                assert_eq!(guard.judge(inside, &message), Outcome::OverlaySource, "{inside}");
                assert_eq!(guard.judge(outside, &message), outcome, "{outside}");
                let fragment =
                    to_relay(inside.parse().expect("a source"), &message).as_fragment(0, true);
                assert_eq!(guard.judge_frame(&fragment.frame()), Outcome::OverlaySource);
            }
        }
    }
}

#[test]
fn a_network_of_any_length_is_known_to_its_first_and_last_address() {
    if !possible("guard::overlay::any_length") {
        return;
    }
    for len in [1u8, 7, 8, 9, 16, 24, 31, 32] {
        let net: ipnet::Ipv4Net = format!("10.77.200.131/{len}").parse().expect("a network");
        let net = net.trunc();
        let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
        let outside = [first.wrapping_sub(1), last.wrapping_add(1)];
        let source = |address: u32| SocketAddr::new(Ipv4Addr::from(address).into(), 9);
        is_bounded(&net.to_string(), [first, last].map(source), outside.map(source));
    }
    for len in [1u8, 7, 31, 32, 33, 64, 127, 128] {
        let net: ipnet::Ipv6Net = format!("fd77:8:9:a:b:c:d:e/{len}").parse().expect("a network");
        let net = net.trunc();
        let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
        let outside = [first.wrapping_sub(1), last.wrapping_add(1)];
        let source = |address: u128| SocketAddr::new(Ipv6Addr::from(address).into(), 9);
        is_bounded(&net.to_string(), [first, last].map(source), outside.map(source));
    }
}

/// Checks that the guard drops sources inside the network and passes those outside.
fn is_bounded(net: &str, inside: [SocketAddr; 2], outside: [SocketAddr; 2]) {
    let mut guard = guard(&[net]);
    for (sources, expected) in [(inside, Outcome::OverlaySource), (outside, Outcome::Data)] {
        for from in sources {
            let found = guard.judge(&from.to_string(), &message::data(100, 1));
            assert_eq!(found, expected, "{from} of {net}");
        }
    }
}
