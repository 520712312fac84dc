//! Limits of initiations per source, and who is not affected by a flood.

use relay::datapath::GuardSettings;
use relay_common::guard::Outcome;
use relay_tests::guard::{GuardRun, key, message, settings, to_relay};

use crate::possible;

/// Messages in a flood of one source; more than its bucket holds.
const FLOOD: u32 = 2000;

/// Wrong MAC1s that empty the bucket of an address and port, which holds 10 000 and refills in a
/// second.
const WRONG: u32 = 100_000;

/// Sends a flood from an address and port; returns the counts.
fn flood(guard: &mut GuardRun, from: &str, message: &[u8], times: u32) -> Vec<(Outcome, u64)> {
    let frame = to_relay(from.parse().expect("a source"), message).frame();
    guard.run_often(&frame, times).1
}

fn genuine(number: u32) -> Vec<u8> {
    message::initiation(&key(), number)
}

/// Whether an initiation is dropped by the limit of its source; one in eight passes by chance.
fn is_limited(guard: &mut GuardRun, from: &str) -> bool {
    (0..20).any(|number| {
        let outcome = guard.judge(from, &genuine(100 + number));
        assert!([Outcome::Limited, Outcome::InitiationByChance].contains(&outcome), "{outcome:?}");
        outcome == Outcome::Limited
    })
}

#[test]
fn of_a_source_over_its_limit_one_message_in_eight_passes() {
    if !possible("guard::limited::a_source_over") {
        return;
    }
    for (from, neighbour, stranger) in [
        ("198.51.100.2:4500", "198.51.100.2:4501", "198.51.100.3:4500"),
        ("[2001:db8:1:2::2]:4500", "[2001:db8:1:2:ffff::9]:1", "[2001:db8:1:3::2]:4500"),
    ] {
        let mut guard = GuardRun::new(&settings(10));
        let moved = flood(&mut guard, from, &genuine(1), FLOOD);
        let [
            (Outcome::Initiation, within),
            (Outcome::Limited, limited),
            (Outcome::InitiationByChance, by_chance),
        ] = moved[..]
        else {
            panic!("{moved:?}");
        };
        // One per second is refilled, on a slow machine.
        assert!((10..20).contains(&within), "{within}");
        assert_eq!(within + limited + by_chance, u64::from(FLOOD));
        // 249 on average, with a standard deviation of 15.
        assert!((150..350).contains(&by_chance), "{by_chance}");
        assert!(is_limited(&mut guard, neighbour), "the same source");
        assert_eq!(guard.judge(stranger, &genuine(2)), Outcome::Initiation, "another source");
    }
}

/// Otherwise anyone who spoofs a victim's address could lock it out.
#[test]
fn a_wrong_mac1_takes_nothing_from_its_source() {
    if !possible("guard::limited::a_wrong_mac1") {
        return;
    }
    for from in ["198.51.100.2:4500", "[2001:db8:1:2::2]:4500"] {
        let mut guard = GuardRun::new(&settings(1));
        let moved = flood(&mut guard, from, &message::forged(&key()), FLOOD);
        assert_eq!(moved, [(Outcome::BadMac1, FLOOD.into())]);
        assert_eq!(guard.judge(from, &genuine(1)), Outcome::Initiation);
        assert_eq!(guard.judge(from, &message::response(&key(), 1)), Outcome::Response);
    }
}

#[test]
fn after_too_many_wrong_mac1s_a_source_is_checked_at_random_and_others_always() {
    if !possible("guard::limited::too_many_wrong") {
        return;
    }
    for (from, neighbour) in [
        ("198.51.100.2:4500", "198.51.100.2:4501"),
        ("[2001:db8:1:2::2]:4500", "[2001:db8:1:2::2]:4501"),
    ] {
        let mut guard = GuardRun::new(&settings(1000));
        // With a random MAC2, which does not help.
        for forged in [message::forged(&key()), message::with_mac2(message::forged(&key()))] {
            let moved = flood(&mut guard, from, &forged, WRONG);
            let [(Outcome::BadMac1, looked_at), (Outcome::Unverified, unverified)] = moved[..]
            else {
                panic!("{moved:?}");
            };
            assert_eq!(looked_at + unverified, u64::from(WRONG));
            assert!(unverified > u64::from(WRONG) / 4, "{moved:?}");
        }
        for number in 0..50 {
            let outcome = guard.judge(neighbour, &genuine(number));
            assert_eq!(outcome, Outcome::Initiation, "of another port");
        }
        flood(&mut guard, from, &message::forged(&key()), 2 * WRONG);
        let frame = to_relay(from.parse().expect("a source"), &genuine(77)).frame();
        let (_, moved) = guard.run_often(&frame, 200);
        let passed: u64 = moved.iter().filter(|(o, _)| !o.drops()).map(|(_, count)| count).sum();
        assert!(passed > 0, "shut out: {moved:?}");
    }
}

/// The kernel answers with a cookie, which no one else receives.
#[test]
fn a_message_with_mac2_is_never_limited() {
    if !possible("guard::limited::with_mac2") {
        return;
    }
    let from = "198.51.100.2:4500";
    let mut guard = GuardRun::new(&settings(1));
    flood(&mut guard, from, &genuine(1), FLOOD);
    assert!(is_limited(&mut guard, from));
    let moved = flood(&mut guard, from, &message::with_mac2(genuine(3)), FLOOD);
    assert_eq!(moved, [(Outcome::InitiationWithMac2, FLOOD.into())]);
    let moved = flood(&mut guard, from, &message::with_mac2(message::forged(&key())), FLOOD);
    assert_eq!(moved, [(Outcome::BadMac1, FLOOD.into())]);
}

#[test]
fn a_flow_with_data_is_not_limited_by_what_others_send_from_its_address() {
    if !possible("guard::limited::a_flow_with_data") {
        return;
    }
    for (peer, attacker) in
        [("198.51.100.2:4500", "198.51.100.2:666"), ("[2001:db8::2]:4500", "[2001:db8::2]:666")]
    {
        let mut guard = GuardRun::new(&settings(20));
        assert_eq!(guard.judge(peer, &genuine(1)), Outcome::Initiation);
        assert_eq!(guard.judge(peer, &message::data(32, 0)), Outcome::Data);
        flood(&mut guard, attacker, &genuine(2), FLOOD);
        assert!(is_limited(&mut guard, attacker));
        assert_eq!(guard.judge(peer, &genuine(3)), Outcome::InitiationOfFlow);
        // Its own bucket holds five.
        let moved = flood(&mut guard, peer, &genuine(4), FLOOD);
        let [
            (Outcome::InitiationOfFlow, 4),
            (Outcome::Limited, _),
            (Outcome::InitiationByChance, _),
        ] = moved[..]
        else {
            panic!("{moved:?}");
        };
        // Forged messages from its address are all checked.
        let moved = flood(&mut guard, peer, &message::forged(&key()), WRONG);
        assert_eq!(moved, [(Outcome::BadMac1, WRONG.into())]);
    }
}

#[test]
fn an_unconfirmed_or_forged_flow_has_no_privilege() {
    if !possible("guard::limited::without_data") {
        return;
    }
    let (peer, attacker) = ("198.51.100.2:4500", "198.51.100.2:666");
    let mut guard = GuardRun::new(&settings(20));
    assert_eq!(guard.judge(peer, &genuine(1)), Outcome::Initiation);
    // Not a message that confirms its flow, and then none of that flow.
    assert_eq!(guard.judge(peer, &message::data(32, 1)), Outcome::Data);
    assert_eq!(guard.judge(attacker, &message::forged(&key())), Outcome::BadMac1);
    assert_eq!(guard.judge(attacker, &message::data(32, 64)), Outcome::Data);
    flood(&mut guard, "198.51.100.2:667", &genuine(2), FLOOD);
    assert!(is_limited(&mut guard, peer));
    let frame = to_relay(attacker.parse().expect("a source"), &genuine(3)).frame();
    let (_, moved) = guard.run_often(&frame, 100);
    assert!(moved.iter().all(|(outcome, _)| *outcome != Outcome::InitiationOfFlow), "{moved:?}");
}

/// An attacker with the relay's key and data-like messages from far more sources than the tables hold
/// does not evict a confirmed flow.
#[test]
fn more_sources_than_the_table_holds_do_not_stop_peers() {
    if !possible("guard::limited::more_sources") {
        return;
    }
    let peer = "198.51.100.2:4500";
    let mut guard = GuardRun::new(&GuardSettings { sources: 4096, ..settings(3) });
    assert_eq!(guard.judge(peer, &genuine(1)), Outcome::Initiation);
    assert_eq!(guard.judge(peer, &message::data(32, 0)), Outcome::Data);
    for number in 0..20_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let from = format!("10.{b}.{c}.{d}:9");
        assert_eq!(guard.judge(&from, &genuine(number)), Outcome::Initiation, "source {number}");
        assert_eq!(guard.judge(&from, &message::data(32, 0)), Outcome::Data);
    }
    assert_eq!(guard.judge("203.0.113.7:1", &genuine(2)), Outcome::Initiation);
    // Its source was evicted and starts again; its flow is still known, without more data.
    let moved = flood(&mut guard, peer, &genuine(3), FLOOD);
    assert!(moved.iter().any(|(outcome, _)| *outcome == Outcome::InitiationOfFlow), "{moved:?}");
    // Without the key, nothing is stored.
    let forged = message::forged(&key());
    for number in 0..20_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        assert_eq!(guard.judge(&format!("11.{b}.{c}.{d}:9"), &forged), Outcome::BadMac1);
    }
}
