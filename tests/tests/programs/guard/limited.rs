//! How many initiations a source may send, and whom a flood does not reach.

use relay::datapath::GuardSettings;
use relay_common::guard::Outcome;
use relay_tests::guard::{GuardRun, key, message, settings, to_relay};

use crate::possible;

/// What one source's flood is made of; more than any bucket here holds.
const FLOOD: u32 = 2000;

/// Sends a flood from an address and port, and tells how it was counted.
fn flood(guard: &mut GuardRun, from: &str, message: &[u8]) -> Vec<(Outcome, u64)> {
    let frame = to_relay(from.parse().expect("a source"), message).frame();
    guard.run_often(&frame, FLOOD).1
}

#[test]
fn a_source_over_its_limit_is_refused_before_its_mac1_is_looked_at() {
    if !possible("guard::limited::a_source_over") {
        return;
    }
    for (from, neighbour, stranger) in [
        ("198.51.100.2:4500", "198.51.100.2:4501", "198.51.100.3:4500"),
        ("[2001:db8:1:2::2]:4500", "[2001:db8:1:2:ffff::9]:1", "[2001:db8:1:3::2]:4500"),
    ] {
        let mut guard = GuardRun::new(&settings(10));
        let moved = flood(&mut guard, from, &message::forged(&key()));
        let [(Outcome::BadMac1, looked_at), (Outcome::Limited, limited)] = moved[..] else {
            panic!("{moved:?}");
        };
        // One a second comes back, should the machine be so slow.
        assert!((10..20).contains(&looked_at), "{looked_at}");
        assert_eq!(looked_at + limited, u64::from(FLOOD));
        let genuine = message::initiation(&key(), 2);
        assert_eq!(guard.judge(neighbour, &genuine), Outcome::Limited, "the same source");
        assert_eq!(guard.judge(stranger, &genuine), Outcome::Initiation, "another source");
    }
}

/// Else whoever spoofs a victim's address would lock the victim out: the kernel answers it with a
/// cookie, which nobody else receives.
#[test]
fn a_message_with_mac2_is_never_limited() {
    if !possible("guard::limited::with_mac2") {
        return;
    }
    let from = "198.51.100.2:4500";
    let mut guard = GuardRun::new(&settings(1));
    flood(&mut guard, from, &message::forged(&key()));
    assert_eq!(guard.judge(from, &message::initiation(&key(), 2)), Outcome::Limited);
    let with_mac2 = message::with_mac2(message::initiation(&key(), 3));
    let moved = flood(&mut guard, from, &with_mac2);
    assert_eq!(moved, [(Outcome::InitiationWithMac2, FLOOD.into())]);
    let moved = flood(&mut guard, from, &message::with_mac2(message::forged(&key())));
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
        let genuine = |number| message::initiation(&key(), number);
        assert_eq!(guard.judge(peer, &genuine(1)), Outcome::Initiation);
        assert_eq!(guard.judge(peer, &message::data(32, 0)), Outcome::Data);
        // Data from a port that no initiation was let through from counts for nothing.
        assert_eq!(guard.judge(attacker, &message::data(32, 0)), Outcome::Data);
        flood(&mut guard, attacker, &message::forged(&key()));
        assert_eq!(guard.judge(attacker, &genuine(2)), Outcome::Limited);
        assert_eq!(guard.judge(peer, &genuine(3)), Outcome::InitiationOfFlow);
        // Its own bucket holds five.
        let moved = flood(&mut guard, peer, &genuine(4));
        let [(Outcome::InitiationOfFlow, 4), (Outcome::Limited, _)] = moved[..] else {
            panic!("{moved:?}");
        };
    }
}

#[test]
fn a_flow_without_data_or_with_a_forged_beginning_has_no_privilege() {
    if !possible("guard::limited::without_data") {
        return;
    }
    let (peer, attacker) = ("198.51.100.2:4500", "198.51.100.2:666");
    let mut guard = GuardRun::new(&settings(20));
    assert_eq!(guard.judge(peer, &message::initiation(&key(), 1)), Outcome::Initiation);
    // Not one that tells of its flow, and then none from that flow.
    assert_eq!(guard.judge(peer, &message::data(32, 1)), Outcome::Data);
    assert_eq!(guard.judge(attacker, &message::forged(&key())), Outcome::BadMac1);
    assert_eq!(guard.judge(attacker, &message::data(32, 64)), Outcome::Data);
    flood(&mut guard, attacker, &message::forged(&key()));
    assert_eq!(guard.judge(peer, &message::initiation(&key(), 2)), Outcome::Limited);
    assert_eq!(guard.judge(attacker, &message::initiation(&key(), 2)), Outcome::Limited);
}

/// Far more sources than there is room for push each other out, not the one that is in use, and a
/// new one is always let through to the check of its MAC1.
#[test]
fn more_sources_than_the_table_holds_lock_nobody_out() {
    if !possible("guard::limited::more_sources") {
        return;
    }
    let peer = "198.51.100.2:4500";
    let mut guard = GuardRun::new(&GuardSettings { sources: 512, ..settings(3) });
    assert_eq!(guard.judge(peer, &message::initiation(&key(), 1)), Outcome::Initiation);
    assert_eq!(guard.judge(peer, &message::data(32, 0)), Outcome::Data);
    let forged = message::forged(&key());
    for number in 0..20_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let from = format!("10.{b}.{c}.{d}:9");
        assert_eq!(guard.judge(&from, &forged), Outcome::BadMac1, "source {number}");
        if number.is_multiple_of(64) {
            // A stream of data has one in 64 that tells of it.
            assert_eq!(guard.judge(peer, &message::data(32, 64)), Outcome::Data);
        }
    }
    let genuine = message::initiation(&key(), 2);
    assert_eq!(guard.judge("203.0.113.7:1", &genuine), Outcome::Initiation);
    // Its source was pushed out and begins anew; its flow is known still.
    let moved = flood(&mut guard, peer, &genuine);
    assert!(moved.iter().any(|(outcome, _)| *outcome == Outcome::InitiationOfFlow), "{moved:?}");
}
