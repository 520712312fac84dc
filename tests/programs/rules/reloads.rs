//! Flows across reloads, and at the end of a rule.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use relay::model::{Relay, Rule, Selector, Services, Transport};
use relay_common::{Reason, flow::tcp, verdict::Verdict};
use relay_tests::{
    deadline,
    generations::Generations,
    inner::Inner,
    program_run::{ProgramRun, REDIRECT},
};

use super::{back, connect, drops, families, one_way, passes};
use crate::possible;

#[test]
fn a_removed_rule_ends_its_flows_with_the_next_packet_of_either_side() {
    if !possible("rules::removed") {
        return;
    }
    for first in 0..2 {
        let mut programs = Generations::begin(two_rules()).expect("the programs");
        for ends in families() {
            open(&mut programs, ends, 22);
            open(&mut programs, ends, 80);
        }
        let web = programs.rules()[1];
        let before = programs.rule(web).expect("counters");
        assert_eq!((before.packets, before.flows), (4, 2));
        let [_, kept] = <[Rule; 2]>::try_from(two_rules().rules).expect("two rules");
        programs.switch(Relay { rules: vec![kept], ..two_rules() }).expect("the programs");
        assert_eq!(programs.rules(), [web], "a rule keeps its number");
        for ends in families() {
            // Whichever comes first ends it for the other one.
            for side in [first, 1 - first] {
                let slot = [1, 2][side];
                let found = dropped(&mut programs, &both_sides(ends, 22)[side], slot);
                assert_eq!(found, Some(Reason::NoRule), "side {side}");
                assert!(relays(&mut programs, &both_sides(ends, 80)[side]), "side {side}");
            }
        }
        let after = programs.rule(web).expect("counters");
        assert_eq!((after.packets, after.flows), (8, 2), "its counters go on");
        let left = programs.flows().expect("the table");
        assert!(left.len() == 2 && left.iter().all(|flow| flow.rule == web), "{left:?}");
    }
}

#[test]
fn a_rule_that_comes_back_finds_no_flow_that_it_has_ended() {
    if !possible("rules::back") {
        return;
    }
    let mut programs = Generations::begin(two_rules()).expect("the programs");
    for ends in families() {
        open(&mut programs, ends, 22);
    }
    let [_, kept] = <[Rule; 2]>::try_from(two_rules().rules).expect("two rules");
    programs.switch(Relay { rules: vec![kept], ..two_rules() }).expect("the programs");
    for ends in families() {
        let [_, answer] = both_sides(ends, 22);
        assert_eq!(dropped(&mut programs, &answer, 2), Some(Reason::NoRule));
    }
    programs.switch(two_rules()).expect("the programs");
    for ends in families() {
        let [there, answer] = both_sides(ends, 22);
        assert_eq!(dropped(&mut programs, &answer, 2), Some(Reason::NoRule));
        // The side that may begin puts it back.
        assert!(relays(&mut programs, &there) && relays(&mut programs, &answer));
    }
}

#[test]
fn the_flows_of_a_disabled_peer_end_with_the_next_packet_of_either_side() {
    if !possible("rules::disabled") {
        return;
    }
    for off in 0..2 {
        let mut programs = Generations::begin(two_rules()).expect("the programs");
        for ends in families() {
            open(&mut programs, ends, 22);
        }
        let Relay { mut peers, .. } = two_rules();
        peers[off].enabled = false;
        programs.switch(Relay { peers, ..two_rules() }).expect("the programs");
        for ends in families() {
            for (side, inner) in both_sides(ends, 22).iter().enumerate() {
                let found = dropped(&mut programs, inner, [1, 2][side]);
                assert_eq!(found, Some(Reason::Disabled), "side {side}");
            }
        }
    }
}

#[test]
fn a_flow_goes_on_by_another_rule_that_allows_it() {
    if !possible("rules::another") {
        return;
    }
    let mut programs = Generations::begin(two_rules()).expect("the programs");
    for ends in families() {
        open(&mut programs, ends, 22);
    }
    let [ssh, web] = <[Rule; 2]>::try_from(two_rules().rules).expect("two rules");
    let wider = Rule { name: "wider".parse().expect("a name"), services: vec![], ..ssh };
    programs.switch(Relay { rules: vec![web, wider], ..two_rules() }).expect("the programs");
    for ends in families() {
        for inner in both_sides(ends, 22).iter().rev() {
            assert!(relays(&mut programs, inner), "{inner:?}");
        }
    }
    let [_, wider] = programs.rules() else { panic!("two rules") };
    let flows = programs.flows().expect("the table");
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| flow.rule == *wider && flow.packets == 4), "{flows:?}");
}

#[test]
fn the_end_of_a_rule_ends_a_running_flow_in_both_directions() {
    if !possible("rules::runs_out") {
        return;
    }
    for first in 0..2 {
        let mut programs = soon_over();
        for ends in families() {
            connect(&mut programs, ends, 40_000);
            let syn = Inner::segment(ends, [40_000, 80], tcp::SYN);
            passes(&mut programs, &syn, 1, 2);
        }
        // Both sides talk until it ends; nothing is loaded meanwhile.
        for ends in families() {
            let both = both_sides(ends, 22);
            let over = deadline::within(LONGEST, "the end of the rule", || {
                let verdicts = [0, 1].map(|side| programs.ask(&both[side]));
                Ok((verdicts != [Ok(Verdict::Relay); 2]).then_some(()))
            });
            over.expect("it ends");
            drops(&mut programs, &both[first], first + 1, Reason::RuleEnded);
            // It is gone, and the beginner's next packet is judged as the first of a flow.
            let reason = if first == 0 { Reason::NoRule } else { Reason::RuleEnded };
            drops(&mut programs, &both[1 - first], 2 - first, reason);
            let [there, answer] = both_sides(ends, 80);
            passes(&mut programs, &there, 1, 2);
            passes(&mut programs, &answer, 2, 1);
        }
    }
}

/// Longest time that a rule is in force until it ends.
const LONGEST: Duration = Duration::from_secs(240);

/// Ssh and the web by rules of their own.
fn two_rules() -> Relay {
    let relay = one_way();
    let rule = |name: &str, port| Rule {
        from: vec![Selector::Peer(0)],
        to: vec![Selector::Peer(1)],
        services: vec![Services::Ports { transport: Transport::Tcp, first: port, last: port }],
        ..Rule::new(name.parse().expect("a name"))
    };
    Relay { rules: vec![rule("ssh", 22), rule("web", 80)], ..relay }
}

/// The next packet of peer 1 and of peer 2 in the connection from port 40000 to this one.
fn both_sides(ends: [IpAddr; 2], port: u16) -> [Inner; 2] {
    let there = Inner::segment(ends, [40_000, port], tcp::ACK);
    let answer = Inner::segment(back(ends), [port, 40_000], tcp::ACK);
    [there, answer]
}

/// Opens a connection to this port, and has it answered.
fn open(programs: &mut Generations, ends: [IpAddr; 2], port: u16) {
    let syn = Inner::segment(ends, [40_000, port], tcp::SYN);
    let answer = Inner::segment(back(ends), [port, 40_000], tcp::SYN | tcp::ACK);
    for inner in [syn, answer] {
        assert!(relays(programs, &inner), "{inner:?}");
    }
}

/// Whether the packet is relayed.
fn relays(programs: &mut Generations, inner: &Inner) -> bool {
    let run = programs.ingress(inner).expect("the packet runs");
    run.verdict == REDIRECT && run.packet == inner.clone().with_ttl(63).bytes()
}

/// What a packet of this slot is dropped for.
fn dropped(programs: &mut Generations, inner: &Inner, slot: u32) -> Option<Reason> {
    let before = programs.dropped(slot).expect("counters");
    let is_relayed = relays(programs, inner);
    let after = programs.dropped(slot).expect("counters");
    let at = |reason: &Reason| reason.index() as usize;
    let moved = Reason::ALL.iter().find(|reason| after[at(reason)] != before[at(reason)]);
    assert_eq!(is_relayed, moved.is_none(), "{inner:?}");
    moved.copied()
}

/// Programs with a rule for ssh that ends in some seconds.
fn soon_over() -> ProgramRun {
    let [ends, _] = families();
    // An emulated machine takes its time to load them.
    for seconds in [3, 15, 60, LONGEST.as_secs()] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let until = (now + Duration::from_secs(seconds)).as_secs();
        let mut relay = two_rules();
        relay.rules[0].until = Some(until);
        let mut programs = ProgramRun::new(relay);
        // Long enough to open the connections.
        let left = (UNIX_EPOCH + Duration::from_secs(until)).duration_since(SystemTime::now());
        let is_early = left.is_ok_and(|left| left > Duration::from_secs(1));
        if is_early && programs.ask(&both_sides(ends, 22)[0]) == Ok(Verdict::Relay) {
            return programs;
        }
    }
    panic!("loading the programs took too long")
}
