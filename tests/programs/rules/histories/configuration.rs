//! Configurations of the histories, and how a reload edits them.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::{Index, select},
};
use relay::model::{Group, Limits, Relay, Rule, Selector, Services, Transport};
use relay_tests::program_run::{peer, relay};

use super::sent::{PROTOCOLS, TCP_PORTS, UDP_PORTS};
use crate::agreement::{never_reached, prefix};

/// Peers of a configuration, and groups of them.
const PEERS: usize = 5;
const GROUPS: usize = 2;

/// What a reload changes.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// The configuration of the beginning.
    Restore,
    Remove(Index),
    Insert(Rule),
    Services(Index, Vec<Services>),
    Except(Index, Selector),
    BothWays(Index),
    Until(Index, When),
    Members(Index, BTreeSet<usize>),
    /// Switches a peer off or on.
    Switch(Index),
    /// Gives a peer limits that it never reaches, or takes them back.
    Limit(Index),
    /// Lets two peers list everything.
    List(Index, Index),
}

/// When a rule ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Never,
    Ended,
    /// A second or two after it is in force.
    Soon,
}

impl Edit {
    /// Edits a configuration; `first` is that of the beginning, and `soon` in seconds since
    /// 1970-01-01T00:00:00Z.
    pub(super) fn apply(&self, relay: &mut Relay, first: &Relay, soon: u64) {
        let of_rules = |index: &Index, relay: &Relay| {
            (!relay.rules.is_empty()).then(|| index.index(relay.rules.len()))
        };
        let mut edit_rule = |index: &Index, edit: &dyn Fn(&mut Rule)| {
            if let Some(at) = of_rules(index, relay) {
                edit(&mut relay.rules[at]);
            }
        };
        match self {
            Self::Services(index, services) => {
                edit_rule(index, &|rule| rule.services.clone_from(services));
            }
            Self::Except(index, selector) => edit_rule(index, &|rule| rule.except.push(*selector)),
            Self::BothWays(index) => edit_rule(index, &|rule| rule.both_ways = !rule.both_ways),
            Self::Until(index, when) => edit_rule(index, &|rule| {
                rule.until = match when {
                    When::Never => None,
                    When::Ended => Some(1),
                    When::Soon => Some(soon),
                };
            }),
            Self::Restore => relay.clone_from(first),
            Self::Remove(index) => {
                if let Some(at) = of_rules(index, relay) {
                    relay.rules.remove(at);
                }
            }
            Self::Insert(rule) => {
                if relay.rules.iter().all(|known| known.name != rule.name) {
                    relay.rules.insert(0, rule.clone());
                }
            }
            Self::Members(index, members) => {
                relay.groups[index.index(GROUPS)].members = members.iter().copied().collect();
            }
            Self::Switch(index) => {
                let peer = index.get_mut(&mut relay.peers);
                peer.enabled = !peer.enabled;
            }
            Self::Limit(index) => {
                let limits = &mut index.get_mut(&mut relay.peers).limits;
                *limits = if limits.exist() { Limits::default() } else { never_reached() };
            }
            Self::List(one, other) => {
                for index in [one, other] {
                    let everything = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a net"));
                    index.get_mut(&mut relay.peers).allowed_ips = everything.to_vec();
                }
            }
        }
    }
}

/// Addresses of a family that packets are sent between: each peer's own, and two of each network
/// behind it.
pub(super) fn addresses(relay: &Relay, is_v4: bool) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for peer in &relay.peers {
        let own = peer.addresses.iter().copied().filter(|own| own.is_ipv4() == is_v4);
        addresses.extend(own.flat_map(|own| [own; 2]));
        for net in peer.routes.iter().filter(|net| net.addr().is_ipv4() == is_v4) {
            addresses.extend([1, 6].map(|host| match net.network() {
                IpAddr::V4(first) => IpAddr::from(Ipv4Addr::from_bits(first.to_bits() | host)),
                IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() | u128::from(host)).into(),
            }));
        }
    }
    addresses
}

/// Peers with nested networks, of which some list each other, groups of them, and rules between all
/// that rules can name.
pub(super) fn any_relay() -> impl Strategy<Value = Relay> {
    let overlay = prop::bool::weighted(0.3);
    let networks = vec((vec(prefix(), 0..3), vec(prefix(), 0..2), overlay), PEERS);
    let groups = vec(btree_set(0..PEERS, 1..4), GROUPS);
    let rules = vec(any_rule(), 3..10);
    (networks, groups, rules, prop::bool::weighted(0.2)).prop_map(
        |(networks, groups, rules, pair_stats)| {
            let mut taken = HashSet::new();
            let peers = (0u32..).zip(networks).map(|(number, (routes, allowed, lists_overlay))| {
                let own = [format!("10.3.2.{}", number + 2), format!("fd00::3:2:{}", number + 2)];
                let overlay: &[&str] =
                    if lists_overlay { &["10.3.2.0/24", "fd00::3:2:0/120"] } else { &[] };
                let mut made = peer(number, &own.each_ref().map(String::as_str), &[], overlay);
                made.allowed_ips.extend(allowed);
                let is_free = |net: &IpNet| net.prefix_len() < net.max_prefix_len();
                let routes = routes.into_iter().filter(is_free);
                made.routes = routes.filter(|net| taken.insert(*net)).collect();
                made
            });
            let mut made = relay(peers.collect());
            let group = |(number, members): (usize, BTreeSet<usize>)| Group {
                name: format!("g{number}").parse().expect("a name"),
                members: members.into_iter().collect(),
            };
            let named = |(number, rule)| Rule {
                name: format!("r{number}").parse().expect("a name"),
                ..rule
            };
            made.groups = groups.into_iter().enumerate().map(group).collect();
            made.rules = rules.into_iter().enumerate().map(named).collect();
            made.pair_stats = pair_stats;
            made
        },
    )
}

pub(super) fn any_edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let when = select(vec![When::Never, When::Ended, When::Soon, When::Soon]);
    prop_oneof![
        2 => Just(Edit::Restore),
        8 => index().prop_map(Edit::Remove),
        2 => any_rule().prop_map(Edit::Insert),
        3 => (index(), vec(any_services(), 0..4)).prop_map(|(at, some)| Edit::Services(at, some)),
        1 => (index(), any_selector()).prop_map(|(at, selector)| Edit::Except(at, selector)),
        1 => index().prop_map(Edit::BothWays),
        5 => (index(), when).prop_map(|(at, when)| Edit::Until(at, when)),
        1 => (index(), btree_set(0..PEERS, 1..4)).prop_map(|(at, some)| Edit::Members(at, some)),
        1 => index().prop_map(Edit::Switch),
        3 => index().prop_map(Edit::Limit),
        1 => (index(), index()).prop_map(|(one, other)| Edit::List(one, other)),
    ]
}

/// Lets a rule end soon.
pub(super) fn any_end() -> impl Strategy<Value = Edit> {
    any::<Index>().prop_map(|at| Edit::Until(at, When::Soon))
}

fn any_selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        3 => (0..PEERS).prop_map(Selector::Peer),
        2 => (0..GROUPS).prop_map(Selector::Group),
        2 => prefix().prop_map(Selector::Prefix),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let side = || vec(prop_oneof![6 => any_selector(), 1 => Just(Selector::Any)], 1..3);
    let except = vec(any_selector(), 0..2);
    let services = vec(any_services(), 0..4);
    let until = prop_oneof![8 => Just(None), 1 => Just(Some(1))];
    (side(), side(), except, services, prop::bool::weighted(0.3), until).prop_map(
        |(from, to, except, services, both_ways, until)| {
            let rule = Rule::new("another".parse().expect("a name"));
            Rule { from, to, except, services, both_ways, until, ..rule }
        },
    )
}

fn any_services() -> impl Strategy<Value = Services> {
    let one = |transport, port| Services::Ports { transport, first: port, last: port };
    let some = |(transport, first, more)| Services::Ports { transport, first, last: first + more };
    let transport = || select(vec![Transport::Tcp, Transport::Udp]);
    prop_oneof![
        4 => select(TCP_PORTS.to_vec()).prop_map(move |port| one(Transport::Tcp, port)),
        3 => select(UDP_PORTS.to_vec()).prop_map(move |port| one(Transport::Udp, port)),
        2 => (transport(), 0u16..100, 0u16..100).prop_map(some),
        1 => transport().prop_map(|transport| Services::Ports { transport, first: 0, last: u16::MAX }),
        2 => Just(Services::Echo),
        1 => Just(Services::Icmp),
        2 => select(PROTOCOLS.to_vec()).prop_map(Services::Protocol),
    ]
}
