//! Rules, limits, pairs and use, between peers of several relays.

use std::net::IpAddr;

use relay::model::{Limits, Period, Quota, Relay};
use relay_common::{PairCounters, flow::tcp, names::PAIR_STATS, service};
use relay_tests::{
    inner::Inner,
    program_run::{Other, ProgramRun, SHOT, address},
};

use super::{OWN, PAIRS, answers, came_home, counted, drops, passes, relays, settle, udp};
use crate::{
    four, possible,
    rules::{back, families, one_way},
};

/// Peers 1, 3 and 4 may begin ssh, DNS and ping with peer 2, in a mesh.
fn ruled(test: &str) -> Option<(ProgramRun, [Other; 2])> {
    let programs = possible(test).then(|| ProgramRun::in_mesh(one_way(), 0, false))?;
    let others = [programs.other(0), programs.other(1)];
    Some((programs, others))
}

fn segment(ends: [IpAddr; 2], ports: [u16; 2], flags: u8) -> Inner {
    Inner::segment(ends, ports, flags)
}

const ACK: u8 = tcp::ACK;
const SYN: u8 = tcp::SYN;

#[test]
fn a_flow_goes_on_when_either_end_moves() {
    for ends in families() {
        let Some((mut programs, [first, second])) = ruled("mesh::flow") else { return };
        settle(&mut programs, &[1, 2], None);
        let there = |flags| segment(ends, [40_000, 22], flags);
        let answer = |flags| segment(back(ends), [22, 40_000], flags);
        relays(&mut programs, &there(SYN), None, OWN, [1, 2]);
        relays(&mut programs, &answer(SYN | ACK), None, OWN, [2, 1]);
        relays(&mut programs, &there(ACK), None, OWN, [1, 2]);
        let before = programs.loaded().rule(1).expect("counters").packets;
        // 1 moves to another relay, and to the next.
        for other in [first, second] {
            settle(&mut programs, &[1], Some(other));
            for _ in 0..2 {
                relays(&mut programs, &there(ACK), Some(other), OWN, [other.slot, 2]);
                relays(&mut programs, &answer(ACK), None, other.interface, [2, other.slot]);
            }
        }
        drops(&mut programs, &there(ACK), Some(first), "1 wrong_home");
        // And back.
        passes(&mut programs, &there(ACK), None, [1, 2]);
        assert_eq!(came_home(&mut programs), [1]);
        relays(&mut programs, &answer(ACK), None, OWN, [2, 1]);
        // Then 2 moves.
        settle(&mut programs, &[2], Some(first));
        relays(&mut programs, &there(ACK), None, first.interface, [1, first.slot]);
        relays(&mut programs, &answer(ACK), Some(first), OWN, [first.slot, 1]);
        let now = programs.loaded().rule(1).expect("counters");
        assert_eq!((now.packets - before, now.flows), (12, 1));
    }
}

#[test]
fn a_flow_begins_from_another_relay_by_a_rule_and_by_nothing_else() {
    let Some((mut programs, [first, _])) = ruled("mesh::begins") else { return };
    settle(&mut programs, &[1], Some(first));
    settle(&mut programs, &[2], None);
    for ends in families() {
        let syn = segment(ends, [40_000, 22], SYN);
        relays(&mut programs, &syn, Some(first), OWN, [first.slot, 2]);
        let answer = segment(back(ends), [22, 40_000], SYN | ACK);
        relays(&mut programs, &answer, None, first.interface, [2, first.slot]);
        let datagram = Inner::datagram(ends, [40_000, 53], 30);
        let answer = Inner::datagram(back(ends), [53, 40_000], 30);
        for _ in 0..3 {
            relays(&mut programs, &datagram, Some(first), OWN, [first.slot, 2]);
            relays(&mut programs, &answer, None, first.interface, [2, first.slot]);
        }
        let other = segment(ends, [40_000, 80], SYN);
        answers(&mut programs, &other, Some(first), first.interface, "1 no_rule");
        let expired = Inner::datagram(ends, [40_000, 53], 30).with_ttl(1);
        answers(&mut programs, &expired, Some(first), first.interface, "1 ttl_exceeded");
    }
}

#[test]
fn an_icmp_error_about_a_flow_crosses_both_ways() {
    let Some((mut programs, [first, _])) = ruled("mesh::flow_error") else { return };
    settle(&mut programs, &[1], Some(first));
    settle(&mut programs, &[2], None);
    for ends in families() {
        let unreachable = if ends[0].is_ipv4() { 3 } else { 1 };
        let asked = Inner::datagram(ends, [40_000, 53], 30);
        let answered = Inner::datagram(back(ends), [53, 40_000], 30);
        relays(&mut programs, &asked, Some(first), OWN, [first.slot, 2]);
        let error = Inner::error(back(ends), unreachable, asked.bytes());
        relays(&mut programs, &error, None, first.interface, [2, first.slot]);
        relays(&mut programs, &answered, None, first.interface, [2, first.slot]);
        let error = Inner::error(ends, unreachable, answered.bytes());
        relays(&mut programs, &error, Some(first), OWN, [first.slot, 2]);
    }
}

#[test]
fn fragments_go_the_way_of_the_first_in_either_order() {
    let Some((mut programs, [first, second])) = ruled("mesh::fragments") else { return };
    settle(&mut programs, &[1, 2], None);
    let mut number = 0;
    for ends in families() {
        // Here to elsewhere, and the other way round.
        for (from, way, slots, at) in [
            (None, first.interface, [1, first.slot], [None, Some(first)]),
            (Some(second), OWN, [second.slot, 2], [Some(second), None]),
        ] {
            settle(&mut programs, &[1], at[0]);
            settle(&mut programs, &[2], at[1]);
            let whole = Inner::datagram(ends, [40_000, 53], 56);
            let mut next = || {
                number += 1;
                [0..32, 32..64].map(|part| whole.fragment(part, number))
            };
            let [start, rest] = next();
            relays(&mut programs, &start, from, way, slots);
            relays(&mut programs, &rest, from, way, slots);
            // The later one waits for the first, which sends both.
            let [start, rest] = next();
            let (run, moved) = programs.moved(|programs| programs.arrive(&rest, from));
            assert_eq!((run.verdict, moved), (SHOT, vec![]));
            let (run, moved) = programs.moved(|programs| programs.arrive(&start, from));
            assert_eq!((run.verdict, moved), (SHOT, counted(&start, 2, slots)));
            assert_eq!((run.way, run.mark), (way, 0));
            assert!(came_home(&mut programs).is_empty());
            // One that another relay may not send does not wait.
            let [_, other] = next();
            let wrong = if from.is_some() { first } else { second };
            drops(&mut programs, &other, Some(wrong), "1 wrong_home");
        }
    }
}

#[test]
fn limits_of_both_ends_hold_at_both_relays() {
    let limits = |bytes| {
        let quota = Some(Quota { bytes, period: Period::Week });
        Limits { quota, ..Limits::default() }
    };
    for (policy, is_ruled) in [(four(), false), (one_way(), true)] {
        if !possible("mesh::limits") {
            return;
        }
        let mut policy: Relay = policy;
        policy.peers[0].limits = limits(1 << 20);
        policy.peers[1].limits = limits(1 << 20);
        let mut programs = ProgramRun::in_mesh(policy, 0, false);
        let [first, second] = [programs.other(0), programs.other(1)];
        let ends = PAIRS[0].map(address);
        let inner = Inner::datagram(ends, [40_000, 53], 100);
        let len = inner.bytes().len() as u64;
        let mut charged = 0;
        for (at, from, way, slots) in [
            ([None, Some(first)], None, first.interface, [1, first.slot]),
            ([Some(first), None], Some(first), OWN, [first.slot, 2]),
        ] {
            settle(&mut programs, &[1], at[0]);
            settle(&mut programs, &[2], at[1]);
            for _ in 0..3 {
                relays(&mut programs, &inner, from, way, slots);
                charged += len;
            }
            // What another relay may not send costs nobody anything.
            drops(&mut programs, &inner, Some(second), "1 wrong_home");
            let used = |programs: &mut ProgramRun, slot| {
                let used = programs.loaded().used(slot).expect("the meters");
                [used.used_from, used.used_to]
            };
            assert_eq!(used(&mut programs, 1), [charged, 0], "{is_ruled}");
            assert_eq!(used(&mut programs, 2), [0, charged], "{is_ruled}");
        }
    }
}

#[test]
fn pairs_are_counted_at_the_first_relay_alone() {
    if !possible("mesh::pairs") {
        return;
    }
    let mut programs = ProgramRun::in_mesh(four(), PAIR_STATS, false);
    let first = programs.other(0);
    settle(&mut programs, &[1], None);
    settle(&mut programs, &[2], Some(first));
    let [one, other] = PAIRS[0];
    let inner = udp(one, other);
    relays(&mut programs, &inner, None, first.interface, [1, first.slot]);
    let back = udp(other, one);
    relays(&mut programs, &back, Some(first), OWN, [first.slot, 1]);
    let len = inner.bytes().len() as u64;
    let mut pair = |source, destination| programs.loaded().pair(source, destination).expect("it");
    assert_eq!(pair(1, 2), PairCounters { packets: 1, bytes: len });
    assert_eq!(pair(2, 1), PairCounters::default());
    assert_eq!(pair(1, first.slot), PairCounters::default());
}

#[test]
fn use_is_learnt_at_the_first_relay_alone() {
    if !possible("mesh::learnt") {
        return;
    }
    let mut programs = ProgramRun::in_mesh(four(), 0, true);
    let first = programs.other(0);
    settle(&mut programs, &[1], None);
    settle(&mut programs, &[2], Some(first));
    let ends = PAIRS[0].map(address);
    let there = Inner::datagram(ends, [40_000, 53], 30);
    let answer = Inner::datagram(back(ends), [53, 40_000], 30);
    let options =
        Inner::datagram(PAIRS[1].map(address), [40_000, 54], 30).with_destination_options();
    for _ in 0..2 {
        relays(&mut programs, &there, None, first.interface, [1, first.slot]);
        relays(&mut programs, &answer, Some(first), OWN, [first.slot, 1]);
        drops(&mut programs, &there, Some(first), "1 wrong_home");
    }
    relays(&mut programs, &options, None, first.interface, [1, first.slot]);
    let usage = programs.loaded().usage().expect("maps");
    let found: Vec<_> = usage
        .uses
        .into_iter()
        .map(|(key, found)| (key.beginner, key.other, key.service, found.packets, found.answers))
        .collect();
    let expected = [(1, 2, service::UDP + 53, 2, 0), (1, 2, service::UDP + 54, 1, 0)];
    assert_eq!(found, expected);
}
