//! Peers, lists and rules as an input chooses them: what is compiled of them is the formula.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use relay::{
    model::{Egress, Group, PROTOCOLS, Peer, Relay, Rule, Selector, Service, Services, Transport},
    policy::Opening,
};
use relay_tests::program_run::{peer, relay};

use crate::{agreement::Policy, choices::Choices, run::Run};

/// Most of each.
const PEERS: usize = 16;
const GROUPS: usize = 3;
const RULES: usize = 8;
/// Openings of a policy.
const OPENINGS: usize = 16;

pub(crate) fn start() -> Run {
    Box::new(|input| {
        let mut choices = Choices::of(input);
        let relay = any_relay(&mut choices);
        let Some(policy) = Policy::of(&relay) else { return };
        for _ in 0..OPENINGS {
            let source = near(&mut choices, &relay);
            let destination = near(&mut choices, &relay);
            let service = service(&mut choices);
            let now = u64::from(choices.byte());
            policy.check(&Opening { source, destination, service }, now);
            if choices.is_empty() {
                break;
            }
        }
    })
}

fn any_relay(choices: &mut Choices<'_>) -> Relay {
    let mut taken = BTreeSet::new();
    let count = 1 + choices.below(PEERS);
    let peers = (0..count).map(|place| any_peer(choices, place, &mut taken)).collect();
    let mut relay = relay(peers);
    relay.egress = if choices.one_in(2) { Egress::Stack } else { Egress::Deny };
    relay.pair_stats = choices.one_in(4);
    relay.groups = (0..GROUPS)
        .map(|number| {
            let members: BTreeSet<usize> =
                (0..choices.below(4)).map(|_| choices.below(count)).collect();
            Group {
                name: format!("g{number}").parse().expect("a name"),
                members: members.into_iter().collect(),
            }
        })
        .collect();
    let rules = choices.below(RULES + 1);
    relay.rules = (0..rules).map(|number| any_rule(choices, number, count)).collect();
    relay
}

fn any_peer(choices: &mut Choices<'_>, place: usize, taken: &mut BTreeSet<IpNet>) -> Peer {
    let number = u32::try_from(place).expect("a few");
    let addresses = [format!("10.3.2.{}", place + 2), format!("fd00::3:2:{:x}", place + 2)];
    let mut made = peer(number, &addresses.each_ref().map(String::as_str), &[], &[]);
    for _ in 0..choices.below(3) {
        let net = choices.prefix();
        if net.prefix_len() < net.max_prefix_len() && taken.insert(net) {
            made.routes.push(net);
        }
    }
    made.allowed_ips = (0..choices.below(5)).map(|_| choices.prefix()).collect();
    made.enabled = !choices.one_in(8);
    made
}

fn any_rule(choices: &mut Choices<'_>, number: usize, peers: usize) -> Rule {
    let mut side = |least: usize| -> Vec<Selector> {
        (0..least + choices.below(2)).map(|_| selector(choices, peers, least > 0)).collect()
    };
    let (from, to, except) = (side(1), side(1), side(0));
    let services = (0..choices.below(4)).map(|_| services(choices)).collect();
    let both_ways = choices.one_in(3);
    let until = choices.one_in(4).then(|| u64::from(choices.byte()));
    let rule = Rule::new(format!("r{number}").parse().expect("a name"));
    Rule { from, to, except, services, both_ways, until, ..rule }
}

fn selector(choices: &mut Choices<'_>, peers: usize, may_be_any: bool) -> Selector {
    match choices.below(4) {
        0 => Selector::Peer(choices.below(peers)),
        1 => Selector::Group(choices.below(GROUPS)),
        2 if may_be_any => Selector::Any,
        _ => Selector::Prefix(choices.prefix()),
    }
}

fn transport(choices: &mut Choices<'_>) -> Transport {
    choices.one_of(&[Transport::Tcp, Transport::Udp])
}

/// Mostly a low one, so that rules and openings meet.
fn port(choices: &mut Choices<'_>) -> u16 {
    match choices.below(8) {
        0 => choices.word(),
        1 => u16::MAX,
        _ => u16::from(choices.byte() % 8),
    }
}

fn services(choices: &mut Choices<'_>) -> Services {
    match choices.below(6) {
        0 => Services::Echo,
        1 => Services::Icmp,
        2 => Services::Protocol(PROTOCOLS[choices.below(PROTOCOLS.len())].1),
        _ => {
            let (transport, one, other) = (transport(choices), port(choices), port(choices));
            Services::Ports { transport, first: one.min(other), last: one.max(other) }
        }
    }
}

fn service(choices: &mut Choices<'_>) -> Service {
    match choices.below(6) {
        0 => Service::Echo,
        1 => Service::Icmp,
        2 => Service::Protocol(choices.byte()),
        _ => Service::Port(transport(choices), port(choices)),
    }
}

/// Mostly of a peer.
fn near(choices: &mut Choices<'_>, relay: &Relay) -> IpAddr {
    if choices.one_in(3) {
        return choices.address();
    }
    let peer = &relay.peers[choices.below(relay.peers.len())];
    choices.one_of(&peer.addresses)
}
