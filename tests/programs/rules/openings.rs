//! What begins a flow, and what does not.

use relay::model::{Relay, Rule};
use relay_common::{Reason, flow::tcp, verdict::Verdict};
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, SHOT, address},
};

use super::{back, connect, drops, families, one_way, one_way_programs, passes};
use crate::possible;

#[test]
fn one_side_begins_and_the_other_answers() {
    let Some(mut programs) = one_way_programs("rules::one_side") else { return };
    for ends in families() {
        let there = Inner::segment(ends, [40_000, 22], tcp::SYN);
        let answer = Inner::segment(back(ends), [22, 40_000], tcp::SYN | tcp::ACK);
        // Before it was begun there is nothing to answer.
        let (verdict, moved) = programs.moved(|programs| programs.ingress(&answer).0);
        assert_eq!((verdict, moved), (REDIRECT, vec!["2 no_rule +1".to_owned()]), "prohibited");
        assert_eq!(programs.ask(&there), Ok(Verdict::Relay));
        assert_eq!(programs.ask(&answer), Err(Reason::NoRule));
        assert_eq!(programs.ingress(&there).0, REDIRECT);
        assert_eq!(programs.ask(&answer), Ok(Verdict::Relay));
        for _ in 0..3 {
            let ((verdict, out), moved) = programs.moved(|programs| programs.ingress(&answer));
            assert_eq!(verdict, REDIRECT);
            let len = answer.bytes().len();
            let expected = [
                "1 tx_packets +1".to_owned(),
                format!("1 tx_bytes +{len}"),
                "2 rx_packets +1".to_owned(),
                format!("2 rx_bytes +{len}"),
            ];
            assert_eq!(moved, expected);
            assert_eq!(out, answer.clone().with_ttl(63).bytes());
        }
        let on = Inner::segment(ends, [40_000, 22], tcp::ACK);
        assert_eq!(programs.ingress(&on).0, REDIRECT);
        let on = Inner::segment(back(ends), [22, 40_000], tcp::ACK);
        assert_eq!(programs.ingress(&on).0, REDIRECT);
    }
    let flows = programs.loaded().flows().expect("the table");
    assert_eq!(flows.len(), 2, "{flows:?}");
    for flow in &flows {
        assert_eq!((flow.ports, flow.protocol, flow.slot, flow.rule), ((40_000, 22), 6, 1, 1));
        assert_eq!((flow.packets, flow.state.label()), (6, "open"));
    }
    let counts = programs.loaded().rule(1).expect("counters");
    assert_eq!((counts.packets, counts.flows), (12, 2));
}

#[test]
fn nothing_else_passes() {
    let Some(mut programs) = one_way_programs("rules::nothing_else") else { return };
    for ends in families() {
        let dropped = [
            Inner::segment(ends, [40_000, 23], tcp::SYN),
            Inner::segment(back(ends), [40_000, 22], tcp::SYN),
            Inner::datagram(ends, [40_000, 22], 8),
            Inner::datagram(back(ends), [40_000, 53], 8),
            Inner::echo(back(ends), true, 1),
            Inner::echo(back(ends), false, 1),
            Inner::new(ends[0], ends[1], 132, &[0; 40]),
            Inner::new(ends[0], ends[1], 4, &[0; 40]),
        ];
        for inner in dropped {
            assert_eq!(programs.ask(&inner), Err(Reason::NoRule), "{inner:?}");
            let (_, moved) = programs.moved(|programs| programs.ingress(&inner));
            let slot = if inner.bytes()[15] == 2 || inner.bytes()[23] == 2 { 1 } else { 2 };
            assert_eq!(moved, [format!("{slot} no_rule +1")]);
        }
    }
    assert_eq!(programs.loaded().flows().expect("the table"), []);
    let other = Inner::udp(address("10.3.2.2"), address("10.3.2.4"), 8);
    assert_eq!(programs.ask(&other), Err(Reason::NotInEitherList));
    assert_eq!(programs.ingress(&other).0, REDIRECT, "prohibited");
    let shot = Inner::udp(address("10.3.2.99"), address("10.3.2.4"), 8);
    assert_eq!(programs.ingress(&shot).0, SHOT);
}

/// Tunnels, and whatever else has no ports: neither side passes it, whatever its first bytes are.
#[test]
fn no_other_protocol_passes() {
    let Some(mut programs) = one_way_programs("rules::no_other_protocol") else { return };
    for ends in families() {
        // Read as ports they would be those of a flow.
        connect(&mut programs, ends, 40_000);
        for (ends, ports) in [(ends, [0x9c, 0x40, 0, 22]), (back(ends), [0, 22, 0x9c, 0x40])] {
            let transport = [&ports[..], &[0; 36]].concat();
            for protocol in (0..=u8::MAX).filter(|protocol| *protocol != 6) {
                let inner = Inner::new(ends[0], ends[1], protocol, &transport);
                let (_, moved) = programs.moved(|programs| programs.ingress(&inner));
                let is_dropped = |moved: &str| {
                    Reason::ALL
                        .iter()
                        .any(|reason| moved.ends_with(&format!(" {} +1", reason.label())))
                };
                // A fragment header, of a later fragment: it waits for the first one.
                let is_held = ends[0].is_ipv6() && protocol == 44 && moved.is_empty();
                let is_dropped = moved.len() == 1 && is_dropped(&moved[0]);
                assert!(is_dropped || is_held, "{protocol}: {moved:?}");
            }
        }
        for (protocol, name) in [(4, "IPIP"), (41, "IPv6 in IP"), (47, "GRE"), (132, "SCTP")] {
            let inner = Inner::new(ends[0], ends[1], protocol, &[0; 40]);
            assert_eq!(programs.ask(&inner), Err(Reason::NoRule), "{name}");
        }
    }
    assert_eq!(programs.loaded().flows().expect("the table").len(), 2);
}

#[test]
fn by_a_rule_of_both_ways_either_side_begins() {
    if !possible("rules::both_ways") {
        return;
    }
    let mut relay = one_way();
    relay.rules[0].both_ways = true;
    let mut programs = ProgramRun::new(relay);
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        let syn = Inner::segment(back(ends), [40_000, 22], tcp::SYN);
        passes(&mut programs, &syn, 2, 1);
        let answer = Inner::segment(ends, [22, 40_000], tcp::SYN | tcp::ACK);
        passes(&mut programs, &answer, 1, 2);
        // Not even there the answer of a flow begins one.
        let syn = Inner::segment(back(ends), [22, 40_000], tcp::SYN);
        drops(&mut programs, &syn, 2, Reason::NoRule);
    }
    let mut slots: Vec<_> =
        programs.loaded().flows().expect("the table").iter().map(|flow| flow.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, [1, 1, 2, 2]);
}

#[test]
fn a_rule_that_has_ended_is_named_as_the_reason() {
    if !possible("rules::ended") {
        return;
    }
    let relay = one_way();
    let rules = relay.rules.into_iter().map(|rule| Rule { until: Some(1), ..rule }).collect();
    let mut programs = ProgramRun::new(Relay { rules, ..one_way() });
    for ends in families() {
        let syn = Inner::segment(ends, [40_000, 22], tcp::SYN);
        drops(&mut programs, &syn, 1, Reason::RuleEnded);
        drops(&mut programs, &Inner::echo(ends, true, 1), 1, Reason::RuleEnded);
        // What it never allowed has no such reason.
        drops(&mut programs, &Inner::datagram(ends, [1, 54], 8), 1, Reason::NoRule);
        drops(&mut programs, &Inner::segment(back(ends), [22, 40_000], 16), 2, Reason::NoRule);
    }
}

#[test]
fn a_rule_that_has_not_ended_yet_allows_what_it_says() {
    if !possible("rules::ends") {
        return;
    }
    let until = Some(relay::engine::now() + 3600);
    let rules = one_way().rules.into_iter().map(|rule| Rule { until, ..rule }).collect();
    let mut programs = ProgramRun::new(Relay { rules, ..one_way() });
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        // By the fast path.
        passes(&mut programs, &Inner::segment(ends, [40_000, 22], tcp::ACK), 1, 2);
        passes(&mut programs, &Inner::segment(back(ends), [22, 40_000], tcp::ACK), 2, 1);
    }
}

#[test]
fn a_probe_begins_and_ends_nothing() {
    let Some(mut programs) = one_way_programs("rules::probe") else { return };
    for ends in families() {
        let ((), moved) = programs.moved(|programs| {
            for port in 0..3_000 {
                let syn = Inner::segment(ends, [port, 22], tcp::SYN);
                assert_eq!(programs.ask(&syn), Ok(Verdict::Relay));
            }
        });
        assert_eq!(moved, [""; 0]);
    }
    assert_eq!(programs.loaded().flows().expect("the table"), []);
    let [ends, other] = families();
    connect(&mut programs, ends, 40_000);
    for (ends, ports) in [(ends, [40_000, 22]), (back(ends), [22, 40_000])] {
        for flags in [tcp::RST, tcp::FIN | tcp::ACK] {
            let segment = Inner::segment(ends, ports, flags);
            assert_eq!(programs.ask(&segment), Ok(Verdict::Relay));
        }
    }
    let flows = programs.loaded().flows().expect("the table");
    assert_eq!((flows[0].state.label(), flows[0].packets), ("open", 2));
    let rule = programs.loaded().rule(1).expect("counters");
    assert_eq!((rule.packets, rule.flows), (2, 1));
    // No token was taken by them.
    for port in 0..1_000 {
        passes(&mut programs, &Inner::datagram(other, [port, 53], 0), 1, 2);
    }
}
