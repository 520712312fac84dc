//! The difference is what the formula says about both policies, always.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use proptest::prelude::*;
use relay_common::verdict::Verdict;

use super::*;
use crate::{
    model::{
        Egress, Group, HostAccess, Peer, Port, PublicKey, Relay, Rule, Selector, Service, Services,
        Transport,
    },
    policy::{
        Opening, Pass, ServiceSet,
        diff::refinement::{Area, Policy, leaves},
        eval_opening,
    },
};

const NOW: u64 = 1_000;

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn tcp(first: u16, last: u16) -> Services {
    Services::Ports { transport: Transport::Tcp, first, last }
}

fn peer(name: &str, number: u8, lists: &[&str]) -> Peer {
    Peer {
        addresses: vec![
            format!("10.3.2.{number}").parse().expect("an address"),
            format!("fd00::3:2:{number:x}").parse().expect("an address"),
        ],
        allowed_ips: lists.iter().map(|list| net(list)).collect(),
        ..Peer::new(name.parse().expect("a name"), PublicKey::from_bytes([number; 32]))
    }
}

fn rule(name: &str, from: Selector, to: Selector, services: &[Services]) -> Rule {
    Rule {
        from: vec![from],
        to: vec![to],
        services: services.to_vec(),
        ..Rule::new(name.parse().expect("a name"))
    }
}

fn group(name: &str, members: &[usize]) -> Group {
    Group { name: name.parse().expect("a name"), members: members.to_vec() }
}

fn relay(peers: Vec<Peer>, groups: Vec<Group>, rules: Vec<Rule>) -> Relay {
    Relay {
        addresses: vec![net("10.3.2.1/24"), net("fd00::3:2:1/120")],
        peers,
        groups,
        rules,
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

/// The difference as text, folded or pair by pair.
fn text(before: &Relay, after: &Relay, is_folded: bool) -> Vec<String> {
    let (one, two) = (slots(before), slots(after));
    let difference = Difference::between(sources(before, &one), sources(after, &two), NOW);
    let text = |line: Line| {
        let sign = match line.change.sign() {
            Sign::Gained => '+',
            Sign::Lost => '-',
            Sign::Kept => '~',
        };
        let end =
            |end: &End| end.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let arrow = if line.both_ways { '↔' } else { '→' };
        let family = line.family.map_or_else(String::new, |family| format!(" {family:?}"));
        let but = if line.but_kept { " but what is kept" } else { "" };
        let (from, to, what) = (end(&line.from), end(&line.to), &line.change.services);
        format!("{sign} {from} {arrow} {to}: {what}{but}{family}")
    };
    match is_folded {
        true => difference.lines().map(text).collect(),
        false => difference.pairs().map(text).collect(),
    }
}

fn slots(relay: &Relay) -> Vec<u32> {
    (1..).take(relay.peers.len()).collect()
}

fn sources<'a>(relay: &'a Relay, slots: &'a [u32]) -> Sources<'a> {
    Sources { relay, host_addresses: &[], slots }
}

/// ann and bob are `ops`; web-1, web-2 and db are `servers`.
fn office(rules: Vec<Rule>) -> Relay {
    let names = ["ann", "bob", "web-1", "web-2", "db"];
    let peers = (2..).zip(names).map(|(number, name)| peer(name, number, &[])).collect();
    relay(peers, vec![group("ops", &[0, 1]), group("servers", &[2, 3, 4])], rules)
}

#[test]
fn a_rule_is_one_line_by_its_groups() {
    let ssh = rule("ssh", Selector::Group(0), Selector::Group(1), &[tcp(22, 22)]);
    let (before, after) = (office(vec![]), office(vec![ssh.clone()]));
    assert_eq!(text(&before, &after, true), ["+ group:ops → group:servers: tcp/22"]);
    assert_eq!(text(&after, &before, true), ["- group:ops → group:servers: tcp/22"]);
    assert_eq!(text(&before, &after, false).len(), 6);
    assert!(text(&after, &after, true).is_empty());
    let but = Rule { except: vec![Selector::Peer(4)], ..ssh.clone() };
    assert_eq!(text(&before, &office(vec![but]), true), ["+ group:ops → web-1, web-2: tcp/22"]);
    let open = Rule { both_ways: true, services: vec![], ..ssh };
    assert_eq!(
        text(&after, &office(vec![open]), true),
        [
            "+ group:ops → group:servers: everything but tcp/22",
            "+ group:servers → group:ops: everything"
        ]
    );
}

#[test]
fn peers_that_all_may_are_any_and_the_rest_is_named() {
    let rules = |except: &[usize]| {
        let all = rule("ping", Selector::Any, Selector::Any, &[Services::Echo]);
        vec![Rule { except: except.iter().map(|&peer| Selector::Peer(peer)).collect(), ..all }]
    };
    let nothing = office(vec![]);
    assert_eq!(text(&nothing, &office(rules(&[])), true), ["+ any ↔ any: icmp/echo"]);
    assert_eq!(
        text(&nothing, &office(rules(&[4])), true),
        ["+ group:ops, web-1, web-2 ↔ group:ops, web-1, web-2: icmp/echo"]
    );
    assert_eq!(text(&office(rules(&[4])), &office(rules(&[])), true), ["+ db ↔ any: icmp/echo"]);
}

#[test]
fn what_rules_keep_of_lists_is_a_line_of_its_own() {
    let mesh = || {
        let mut relay = office(vec![]);
        let all = || vec![net("10.3.2.0/24"), net("fd00::3:2:0/120")];
        relay.peers.iter_mut().for_each(|peer| peer.allowed_ips = all());
        relay
    };
    let ssh = office(vec![rule("ssh", Selector::Group(0), Selector::Group(1), &[tcp(22, 22)])]);
    let (lists, kept) =
        ("any ↔ any: everything but what is kept", "group:ops → group:servers: tcp/22");
    let expected = |sign| [format!("{sign} {lists}"), format!("~ {kept}")];
    assert_eq!(text(&mesh(), &ssh, true), expected('-'));
    assert_eq!(text(&ssh, &mesh(), true), expected('+'));
}

#[test]
fn an_address_that_moves_is_lost_and_gained() {
    let with = |number| {
        let all = ["10.3.2.0/24", "fd00::3:2:0/120"];
        let mut moved = peer("ann", 2, &all);
        moved.addresses[0] = IpAddr::from([10, 3, 2, number]);
        relay(vec![moved, peer("bob", 3, &all), peer("eve", 4, &all)], vec![], vec![])
    };
    assert_eq!(
        text(&with(2), &with(9), true),
        [
            "+ ann (10.3.2.9) ↔ bob, eve: everything",
            "+ ann (10.3.2.9) → the relay: icmp/echo",
            "- ann (10.3.2.2) ↔ bob, eve: everything",
            "- ann (10.3.2.2) → the relay: icmp/echo",
        ]
    );
}

#[test]
fn one_family_is_named_where_the_other_differs() {
    let with = |lists: &[&str]| {
        relay(vec![peer("ann", 2, &["::/0", "0.0.0.0/0"]), peer("bob", 3, lists)], vec![], vec![])
    };
    assert_eq!(
        text(&with(&["10.3.2.2/32"]), &with(&["10.3.2.2/32", "fd00::3:2:2/128"]), true),
        ["+ ann ↔ bob: everything V6"]
    );
}

#[test]
fn a_star_of_thousands_is_few_lines() {
    let star = |count: u16, rules| {
        let peers = (0..count).map(|number| {
            let [high, low] = number.to_be_bytes();
            let mut key = [1; 32];
            key[..2].copy_from_slice(&[high, low]);
            Peer {
                addresses: vec![IpAddr::from([10, 3, 16 + high, low])],
                // Everybody lists himself, so that all lists differ.
                allowed_ips: vec![net(&format!("10.3.{}.{low}/32", 16 + high))],
                ..Peer::new(
                    format!("p{number}").parse().expect("a name"),
                    PublicKey::from_bytes(key),
                )
            }
        });
        Relay {
            addresses: vec![net("10.3.2.1/16")],
            ..relay(peers.collect(), vec![group("hubs", &[7, 8])], rules)
        }
    };
    let rules = vec![rule("dns", Selector::Any, Selector::Group(0), &[tcp(53, 53)])];
    let lines = text(&star(2_000, vec![]), &star(2_000, rules), true);
    assert_eq!(lines, ["+ any → group:hubs: tcp/53"]);
}

/// A selector of a relay with `peers` peers and two groups.
fn selectors(peers: usize) -> impl Strategy<Value = Selector> {
    prop_oneof![
        1 => Just(Selector::Any),
        3 => (0..peers).prop_map(Selector::Peer),
        3 => (0..2usize).prop_map(Selector::Group),
        3 => prefixes().prop_map(Selector::Prefix),
    ]
}

fn prefixes() -> impl Strategy<Value = IpNet> {
    let all = [
        "10.3.2.0/29",
        "10.3.2.2/31",
        "10.3.2.4/32",
        "10.3.2.0/24",
        "0.0.0.0/0",
        "192.0.2.0/24",
        "192.0.2.16/28",
        "fd00::3:2:0/125",
        "fd00::3:2:2/127",
        "::/0",
        "fd00::3:2:4/128",
    ];
    prop::sample::select(all.map(net).to_vec())
}

fn services() -> impl Strategy<Value = Services> {
    prop_oneof![
        (20..30u16, 0..10u16).prop_map(|(first, more)| tcp(first, first + more)),
        Just(Services::Ports { transport: Transport::Udp, first: 53, last: 53 }),
        Just(Services::Echo),
        Just(Services::Icmp),
        Just(Services::Protocol(132)),
    ]
}

fn rules(peers: usize) -> impl Strategy<Value = Rule> {
    let side = || prop::collection::vec(selectors(peers), 1..3);
    let until = prop::option::weighted(0.3, prop::sample::select(vec![NOW - 1, NOW + 1, NOW + 2]));
    let except = prop::collection::vec(selectors(peers), 0..2);
    (0..3u8, side(), side(), except, prop::collection::vec(services(), 0..3), any::<bool>(), until)
        .prop_map(|(name, from, to, except, services, both_ways, until)| Rule {
            from,
            to,
            except,
            services,
            both_ways,
            until,
            ..Rule::new(format!("r{name}").parse().expect("a name"))
        })
}

fn relays() -> impl Strategy<Value = Relay> {
    let peer = (
        prop::bool::weighted(0.9),
        prop::sample::select(vec![
            None,
            Some("10.3.2.0/30"),
            Some("192.0.2.0/25"),
            Some("172.16.0.0/12"),
        ]),
        prop::collection::vec(prefixes(), 0..3),
        any::<bool>(),
    );
    let access = prop::sample::select(vec![
        HostAccess::None,
        HostAccess::Ping,
        HostAccess::All,
        HostAccess::Ports(vec![Port { transport: Transport::Tcp, number: 22 }]),
    ]);
    (
        prop::collection::vec((0..6u8, peer), 2..5),
        prop::collection::vec(prop::collection::btree_set(0..2usize, 0..3), 2),
        prop::collection::vec(rules(2), 0..4),
        access,
        any::<[bool; 2]>(),
    )
        .prop_map(|(peers, groups, mut rules, host_access, [is_stack, fence])| {
            let mut peers: Vec<Peer> = peers
                .into_iter()
                .map(|(number, (enabled, routes, allowed_ips, has_both))| {
                    let mut made = peer_with(number, allowed_ips);
                    made.enabled = enabled;
                    made.routes = routes.map(net).into_iter().collect();
                    made.addresses.truncate(if has_both { 2 } else { 1 });
                    made
                })
                .collect();
            peers.sort_by(|one, other| one.name.cmp(&other.name));
            peers.dedup_by(|one, other| one.name == other.name);
            let mut routes = BTreeSet::new();
            peers.iter_mut().for_each(|peer| peer.routes.retain(|route| routes.insert(*route)));
            rules.sort_by(|one: &Rule, other| one.name.cmp(&other.name));
            rules.dedup_by(|one, other| one.name == other.name);
            let last = peers.len() - 1;
            let groups = groups.into_iter().zip(["g0", "g1"]).map(|(members, name)| {
                group(
                    name,
                    &members.into_iter().filter(|member| *member <= last).collect::<Vec<_>>(),
                )
            });
            let clamp = |selector: &mut Selector| {
                if let Selector::Peer(peer) = selector {
                    *peer = (*peer).min(last);
                }
            };
            for rule in &mut rules {
                rule.from.iter_mut().chain(&mut rule.to).chain(&mut rule.except).for_each(clamp);
            }
            let egress = if is_stack { Egress::Stack } else { Egress::Deny };
            Relay { host_access, egress, fence, ..relay(peers, groups.collect(), rules) }
        })
}

fn peer_with(number: u8, allowed_ips: Vec<IpNet>) -> Peer {
    let made = peer(&format!("p{number}"), number + 2, &[]);
    Peer { allowed_ips, ..made }
}

/// What lets a service through, by the formula.
fn ground(relay: &Relay, opening: Opening) -> Option<Ground> {
    let slots = slots(relay);
    let sources = sources(relay, &slots);
    let is_off = |address| {
        is_own(relay, address) && relay.owner(address).is_some_and(|(_, peer)| !peer.enabled)
    };
    if is_off(opening.source) || is_off(opening.destination) {
        return None;
    }
    match eval_opening(&sources, &opening, NOW).ok()? {
        Pass::Lists(Verdict::ToHost) => {
            let services = match &relay.host_access {
                HostAccess::None => ServiceSet::default(),
                HostAccess::Ping => ServiceSet::of(&[Services::Echo]),
                HostAccess::All => ServiceSet::everything(),
                HostAccess::Ports(_) => ServiceSet::of(&[Services::Echo, tcp(22, 22)]),
            };
            services.contains(opening.service).then_some(Ground::HostAccess)
        }
        Pass::Lists(_) => Some(Ground::Lists),
        Pass::Rule(rule) => {
            let Rule { name, until, .. } = &relay.rules[rule];
            Some(Ground::Rule { name: name.clone(), until: *until })
        }
    }
}

/// Whether a line names this address of a peer, as one that is not the relay's.
fn names(relay: &Relay, end: &End, (address, leaf): (IpAddr, Option<IpNet>)) -> bool {
    let holds = |areas: &[Area]| areas.iter().any(|area| Some(area.prefix) == leaf);
    let owner = relay.owner(address).filter(|_| is_own(relay, address));
    let owner = owner.map(|(_, peer)| &peer.name);
    end.names.iter().any(|name| match name {
        Name::Any | Name::Group(_) => unreachable!("pairs are not folded"),
        Name::Peer(name) => owner == Some(name),
        Name::Addresses(name, nets) => owner == Some(name) && holds(nets),
        Name::Relay(_) => relay.addresses.iter().any(|net| net.addr() == address),
        Name::Beyond(nets) => {
            let is_beyond = !relay.addresses.iter().any(|net| net.contains(&address));
            owner.is_none() && is_beyond && holds(nets)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_is_gained_and_lost_is_what_the_formula_says(before in relays(), after in relays()) {
        let (one, two) = (slots(&before), slots(&after));
        let difference = Difference::between(sources(&before, &one), sources(&after, &two), NOW);
        let pairs: Vec<Line> = difference.pairs().collect();
        let policies = [Policy::of(sources(&before, &one)), Policy::of(sources(&after, &two))];
        let leaves = leaves(&policies);
        let leaf = |address: IpAddr| {
            let around = leaves.iter().map(|(prefix, _)| *prefix);
            around.filter(|prefix| prefix.contains(&address)).max_by_key(IpNet::prefix_len)
        };
        let addresses: Vec<IpAddr> = [
            "10.3.2.1", "10.3.2.2", "10.3.2.3", "10.3.2.4", "10.3.2.5", "10.3.2.0", "10.3.2.9",
            "192.0.2.1", "192.0.2.17", "192.0.2.200", "172.16.0.1", "8.8.8.8",
            "fd00::3:2:1", "fd00::3:2:2", "fd00::3:2:3", "fd00::3:2:4", "2001:db8::1",
        ].map(|text| text.parse().expect("an address")).to_vec();
        let asked = [
            Service::Port(Transport::Tcp, 22), Service::Port(Transport::Tcp, 29),
            Service::Port(Transport::Udp, 53), Service::Echo, Service::Icmp,
            Service::Protocol(132), Service::Protocol(47),
        ];
        for &source in &addresses {
            for &destination in addresses.iter().filter(|other| other.is_ipv4() == source.is_ipv4()) {
                for service in asked {
                    let opening = Opening { source, destination, service };
                    let grounds = (with_outside(&before, opening), with_outside(&after, opening));
                    // The party that the formula is about may differ between both policies.
                    for (relay, is_wanted, sign) in [
                        (&after, grounds.1.is_some(), Sign::Gained),
                        (&before, grounds.0.is_some(), Sign::Lost),
                    ] {
                        let named = |sign| pairs.iter().any(|line: &Line| {
                            let on = |from: &End, to: &End| {
                                names(relay, from, (source, leaf(source)))
                                    && names(relay, to, (destination, leaf(destination)))
                            };
                            let of_family = |family| match family {
                                None => true,
                                Some(Family::V4) => source.is_ipv4(),
                                Some(Family::V6) => source.is_ipv6(),
                            };
                            line.change.sign() == sign
                                && line.change.services.contains(service)
                                && of_family(line.family)
                                && (on(&line.from, &line.to)
                                    || line.both_ways && on(&line.to, &line.from))
                        });
                        let found = named(sign) && !named(Sign::Kept);
                        let other = if sign == Sign::Gained { &grounds.0 } else { &grounds.1 };
                        let is_same_party = whose(&before, source) == whose(&after, source)
                            && whose(&before, destination) == whose(&after, destination);
                        let is_expected = is_wanted && (other.is_none() || !is_same_party);
                        prop_assert_eq!(
                            found, is_expected,
                            "{:?} {:?} -> {:?} {:?}\n{:#?}", sign, source, destination, service, pairs
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_policy_does_not_differ_from_itself(relay in relays()) {
        prop_assert_eq!(text(&relay, &relay, true), Vec::<String>::new());
    }
}

fn whose(relay: &Relay, address: IpAddr) -> Option<&str> {
    let owner = relay.owner(address).filter(|_| is_own(relay, address));
    owner.map(|(_, peer)| peer.name.as_str())
}

/// The formula for peers, and for what comes from beyond the overlay without a fence.
fn with_outside(relay: &Relay, opening: Opening) -> Option<Ground> {
    let Opening { source, destination, .. } = opening;
    let is_relays = |address: IpAddr| relay.addresses.iter().any(|net| net.contains(&address));
    match (relay.owner(source), relay.owner(destination)) {
        (None, Some((_, to))) if !is_relays(source) => {
            let is_let_in = relay.egress == Egress::Stack && !relay.fence;
            let is_special = source.is_multicast();
            let lists = to.may_reach().iter().any(|net| net.contains(&source));
            (is_let_in && !is_special && lists && is_own(relay, destination))
                .then_some(Ground::Lists)
        }
        _ => ground(relay, opening),
    }
}

/// Whether an address is a peer's and not the relay's or a broadcast address of the overlay.
fn is_own(relay: &Relay, address: IpAddr) -> bool {
    let is_special = |net: &IpNet| match net {
        IpNet::V4(v4) => {
            [net.addr(), v4.network().into(), v4.broadcast().into()].contains(&address)
        }
        IpNet::V6(_) => net.addr() == address,
    };
    !relay.addresses.iter().any(is_special)
}
