//! The groups and rules of a large configuration.

use relay::model::{Group, Rule, Selector, Services, Transport};

/// Number of groups.
const GROUPS: usize = 200;
/// Groups that are unions of others.
const UNIONS: usize = 50;
/// Number of rules.
const RULES: usize = 1_000;

/// 150 groups of equal size, in a second of which every tenth peer is, and 50 unions of three.
pub(super) fn groups(peers: usize) -> Vec<Group> {
    const PLAIN: usize = GROUPS - UNIONS;
    let mut members = vec![Vec::new(); PLAIN];
    for peer in 0..peers {
        members[peer % PLAIN].push(peer);
        if peer.is_multiple_of(10) {
            members[peer / PLAIN % PLAIN].push(peer);
        }
    }
    for first in (0..PLAIN).step_by(PLAIN / UNIONS) {
        members.push(members[first..first + PLAIN / UNIONS].concat());
    }
    let group = |(number, mut members): (usize, Vec<usize>)| {
        members.sort_unstable();
        members.dedup();
        Group { name: format!("g{number}").parse().expect("a name"), members }
    };
    members.into_iter().enumerate().map(group).collect()
}

/// A thousand rules, each between another two groups.
pub(super) fn rules() -> Vec<Rule> {
    (0..RULES).map(rule).collect()
}

fn rule(number: usize) -> Rule {
    let group = |place: usize| Selector::Group(place % GROUPS);
    let sometimes = |every: usize| number.is_multiple_of(every);
    Rule {
        from: vec![group(7 * number)],
        to: vec![group(11 * number + number / GROUPS * 37 + 3)],
        except: if sometimes(25) { vec![Selector::Peer(number)] } else { Vec::new() },
        services: services(number),
        both_ways: sometimes(20),
        ..Rule::new(format!("r{number}").parse().expect("a name"))
    }
}

fn services(number: usize) -> Vec<Services> {
    let ports = |transport, first, last| Services::Ports { transport, first, last };
    let port = |number| ports(Transport::Tcp, number, number);
    match number % 8 {
        0 => vec![port(22)],
        1 => vec![port(80), port(443)],
        2 => vec![ports(Transport::Udp, 53, 53), port(53)],
        3 => vec![ports(Transport::Tcp, 8000, 8100)],
        4 => vec![Services::Echo],
        // All services.
        5 if number.is_multiple_of(3) => Vec::new(),
        _ => {
            let own = 10_000 + u16::try_from(number % 300).expect("below 300");
            vec![port(own), ports(Transport::Udp, own, own + 5)]
        }
    }
}
