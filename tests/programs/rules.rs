//! Rules: who may begin what with whom, and answers in the flows that they began.

use std::net::IpAddr;

use relay::model::{Relay, Rule, Selector, Services, Transport};
use relay_common::{Reason, flow::tcp, verdict::Verdict};
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, SHOT, address, peer, relay},
};

use crate::possible;

/// Peer 1 may begin ssh, DNS and ping with peer 2, and nothing the other way. Slots are these numbers.
fn one_way() -> Relay {
    let services = vec![
        Services::Ports { transport: Transport::Tcp, first: 22, last: 22 },
        Services::Ports { transport: Transport::Udp, first: 53, last: 53 },
        Services::Echo,
    ];
    let rule = Rule {
        from: vec![Selector::Peer(0)],
        to: vec![Selector::Peer(1)],
        services,
        ..Rule::new("admin".parse().expect("a name"))
    };
    let peers = vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &[]),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], &[]),
        peer(3, &["10.3.2.4", "fd00::3:2:4"], &[], &[]),
    ];
    Relay { rules: vec![rule], ..relay(peers) }
}

/// Both ends in each family.
fn families() -> [[IpAddr; 2]; 2] {
    [["10.3.2.2", "10.3.2.3"], ["fd00::3:2:2", "fd00::3:2:3"]].map(|ends| ends.map(address))
}

fn back([from, to]: [IpAddr; 2]) -> [IpAddr; 2] {
    [to, from]
}

fn one_way_programs(test: &str) -> Option<ProgramRun> {
    possible(test).then(|| ProgramRun::new(one_way()))
}

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
