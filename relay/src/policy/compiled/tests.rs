//! The compiled policy gives the formula's answer, always.

use proptest::prelude::*;

use super::*;
use crate::{
    model::{
        Group, Limits, Owners, PROTOCOLS, Peer, PublicKey, Rate, Rule, Selector, Service, Services,
        Transport,
    },
    policy::{Opening, Pass, eval, eval_opening, is_ruled},
};

/// A relay at 10.3.2.1/16 and fd00::3:2:1/112 with these peers.
fn relay(peers: Vec<Peer>, egress: Egress) -> Relay {
    Relay {
        addresses: vec![net("10.3.2.1/16"), net("fd00::3:2:1/112")],
        private_key_file: "/none".into(),
        egress,
        peers,
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

fn peer(index: usize, addresses: &[&str], routes: Vec<IpNet>, allowed_ips: Vec<IpNet>) -> Peer {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&index.to_le_bytes());
    Peer {
        addresses: addresses.iter().map(|a| a.parse().expect("an address")).collect(),
        routes,
        allowed_ips,
        ..Peer::new(format!("p{index}").parse().expect("a name"), PublicKey::from_bytes(key))
    }
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn compiled(relay: &Relay) -> Compiled {
    let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
    compile(&Sources { relay, host_addresses: &[], slots: &slots }, &[]).expect("small")
}

#[test]
fn one_to_many_is_two_classes_and_each_pair_has_its_answer() {
    let lists = |text: &str| vec![net(text)];
    let relay = relay(
        vec![
            peer(0, &["10.3.2.2"], vec![], vec![net("10.3.2.0/24")]),
            peer(1, &["10.3.2.3"], vec![], lists("10.3.2.2/32")),
            peer(2, &["10.3.2.4"], vec![], lists("10.3.2.2/32")),
            peer(3, &["10.3.2.5"], vec![], vec![]),
        ],
        Egress::Deny,
    );
    let compiled = compiled(&relay);
    let answer = |from: &str, to: &str| {
        compiled.decide(from.parse().expect("an address"), to.parse().expect("an address"))
    };
    assert_eq!(answer("10.3.2.2", "10.3.2.3"), Ok(Verdict::Relay));
    assert_eq!(answer("10.3.2.4", "10.3.2.2"), Ok(Verdict::Relay));
    assert_eq!(answer("10.3.2.3", "10.3.2.4"), Err(Reason::NotInEitherList));
    assert_eq!(answer("10.3.2.2", "10.3.2.5"), Err(Reason::NotInDestinationList));
    assert_eq!(answer("10.3.2.5", "10.3.2.2"), Err(Reason::NotInSourceList));
    assert_eq!(answer("10.3.2.2", "10.3.2.2"), Err(Reason::Hairpin));
    assert_eq!(answer("10.3.2.2", "10.3.2.1"), Ok(Verdict::ToHost));
    assert_eq!(answer("10.3.2.2", "10.3.255.255"), Err(Reason::Broadcast));
    assert_eq!(answer("10.3.2.2", "224.0.0.1"), Err(Reason::Multicast));
    assert_eq!(answer("10.3.2.2", "8.8.8.8"), Err(Reason::DestinationUnknown));
    assert_eq!(answer("10.3.2.9", "10.3.2.2"), Err(Reason::SourceUnknown));
    assert!(compiled.counts().cells <= 9, "{:?}", compiled.counts());
}

#[test]
fn a_metadata_service_is_nobodys_in_formula_and_tables_until_it_is_named() {
    let all = || vec![net("0.0.0.0/0"), net("::/0")];
    let services = ["100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"];
    for routes in [all(), vec![]] {
        for name in [None, Some("100.100.100.200/32"), Some("fd00:ec2::254/128")] {
            let lists = all().into_iter().chain(name.map(net)).collect();
            let exit = peer(1, &["10.3.2.3"], routes.clone(), all());
            let relay = relay(
                vec![peer(0, &["10.3.2.2", "fd00::3:2:2"], vec![], lists), exit],
                Egress::Stack,
            );
            let sources = Sources { relay: &relay, host_addresses: &[], slots: &[1, 2] };
            let compiled = compile(&sources, &[]).expect("small");
            for service in services {
                let to: IpAddr = service.parse().expect("an address");
                let from = if to.is_ipv4() { "10.3.2.2" } else { "fd00::3:2:2" };
                let from = from.parse().expect("an address");
                let is_named = name.is_some_and(|name| name.starts_with(service));
                let expected = match (is_named, routes.is_empty()) {
                    (false, _) => Err(Reason::ReservedAddress),
                    (true, true) => Ok(Verdict::ToStack),
                    (true, false) => Ok(Verdict::Relay),
                };
                assert_eq!(compiled.decide(from, to), expected, "{service} {name:?}");
                assert_eq!(eval(&sources, from, to), expected, "{service} {name:?}");
            }
        }
    }
}

#[test]
fn a_peer_that_is_off_owns_its_addresses_and_reaches_nobody() {
    let all = || vec![net("0.0.0.0/0")];
    let off = Peer { enabled: false, ..peer(1, &["10.3.2.3"], vec![net("10.9.0.0/16")], all()) };
    let a = peer(0, &["10.3.2.2"], vec![net("10.0.0.0/8")], all());
    let relay = relay(vec![a, off, peer(2, &["10.3.2.4"], vec![], all())], Egress::Stack);
    let compiled = compiled(&relay);
    let answer = |from: &str, to: &str| {
        compiled.decide(from.parse().expect("an address"), to.parse().expect("an address"))
    };
    assert_eq!(answer("10.3.2.2", "10.3.2.4"), Ok(Verdict::Relay));
    for own in ["10.3.2.3", "10.9.1.1"] {
        // Not its neighbour, whose network lies around it, and not the host's routing.
        assert_eq!(answer("10.3.2.4", own), Err(Reason::Disabled));
        for to in ["10.3.2.4", "10.3.2.1", "10.3.2.3", "192.0.2.1"] {
            assert_eq!(answer(own, to), Err(Reason::Disabled), "{to}");
        }
    }
}

#[test]
fn pairs_of_peers_take_room_in_proportion_to_their_number() {
    // One has no partner, which puts all that follow out of step.
    let peers = (0..4_000u32).filter(|index| *index != 9).map(|index| {
        let v4 = |index: u32| format!("10.3.{}.{}", 16 + index / 256, index % 256);
        let v6 = |index: u32| format!("fd00::3:2:{:x}", index + 16);
        let lists = vec![net(&format!("{}/32", v4(index ^ 1)))];
        peer(index as usize, &[&v4(index), &v6(index)], vec![], lists)
    });
    let compiled = compiled(&relay(peers.collect(), Egress::Deny));
    let (places, cells) = (compiled.cells.len(), compiled.counts().cells);
    assert!(places < 8 * cells, "{places} places for {cells} cells");
}

#[test]
fn of_the_hosts_addresses_those_alone_count_that_somebody_else_would_own() {
    let relay =
        relay(vec![peer(0, &["10.3.2.2"], vec![net("192.168.0.0/16")], vec![])], Egress::Deny);
    let made = |addresses: &[&str]| {
        let addresses: Vec<IpAddr> =
            addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let sources = Sources { relay: &relay, host_addresses: &addresses, slots: &[1] };
        (compile(&sources, &[]).expect("small"), sources.contested())
    };
    let (plain, _) = made(&[]);
    let (same, contested) = made(&["203.0.113.5", "172.17.0.1", "2001:db8::7"]);
    assert_eq!((&same, contested.len()), (&plain, 0));
    for address in ["192.168.3.4", "10.3.2.77", "10.3.2.2", "fd00::3:2:77"] {
        let (other, contested) = made(&["203.0.113.5", address]);
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(contested, [address]);
        assert_ne!(other, plain, "{address}");
        assert_eq!(other.leaf(address), Leaf::special(Special::Host), "{address}");
    }
}

/// Prefixes of both families that nest and overlap, inside the overlay and out.
fn prefix() -> impl Strategy<Value = IpNet> {
    let v4 = (0u32..2, 0u32..1 << 9, 20u8..=32).prop_map(|(outside, host, len)| {
        let base = if outside == 1 { 0xc0a8_0000 } else { 0x0a03_0200 };
        IpNet::new(Ipv4Addr::from_bits(base + host).into(), len).expect("a length").trunc()
    });
    let v6 = (0u128..2, 0u128..1 << 7, 116u8..=128).prop_map(|(outside, host, len)| {
        let base = if outside == 1 { 0xfd01 << 112 } else { (0xfd00 << 112) + 0x3_0002_0000 };
        IpNet::new(Ipv6Addr::from_bits(base + host).into(), len).expect("a length").trunc()
    });
    let whole = prop_oneof![Just(net("0.0.0.0/0")), Just(net("::/0")), Just(net("224.0.0.5/32"))];
    prop_oneof![5 => v4, 3 => v6, 1 => whole]
}

/// Relays whose peers have an address of each family; routes are owned once.
fn any_relay() -> impl Strategy<Value = Relay> {
    let peers = prop::collection::vec(
        (prop::collection::vec(prefix(), 0..3), prop::collection::vec(prefix(), 0..6)),
        1..40,
    );
    (peers, any::<bool>()).prop_map(|(peers, stack)| {
        let mut taken = std::collections::HashSet::new();
        let peers = peers.into_iter().enumerate().map(|(index, (routes, mut allowed))| {
            let addresses = [format!("10.3.2.{}", index + 2), format!("fd00::3:2:{:x}", index + 2)];
            allowed.retain(|net| !net.addr().is_multicast() || index % 3 == 0);
            let routes = routes
                .into_iter()
                .filter(|net| net.prefix_len() < net.max_prefix_len() && taken.insert(*net))
                .collect();
            let peer = peer(index, &[&addresses[0], &addresses[1]], routes, allowed);
            let rate = (index % 4 == 1).then_some(Rate::MAX);
            let limits = Limits { rate_to: rate, ..Limits::default() };
            Peer { enabled: index % 5 != 3, limits, ..peer }
        });
        let egress = if stack { Egress::Stack } else { Egress::Deny };
        relay(peers.collect(), egress)
    })
}

/// Peers, groups of them and rules between all that rules can name.
fn any_ruled_relay() -> impl Strategy<Value = Relay> {
    let relay = any_relay().prop_filter("peers", |relay| relay.peers.len() > 2);
    relay.prop_flat_map(|relay| {
        let peers = relay.peers.len();
        let groups = prop::collection::vec(prop::collection::btree_set(0..peers, 1..6), 3);
        let rules = prop::collection::vec(any_rule(peers), 1..12);
        (Just(relay), groups, rules).prop_map(|(relay, groups, rules)| {
            let group = |(number, members): (usize, std::collections::BTreeSet<usize>)| Group {
                name: format!("g{number}").parse().expect("a name"),
                members: members.into_iter().collect(),
            };
            let named = |(number, rule): (usize, Rule)| Rule {
                name: format!("r{number}").parse().expect("a name"),
                ..rule
            };
            Relay {
                groups: groups.into_iter().enumerate().map(group).collect(),
                rules: rules.into_iter().enumerate().map(named).collect(),
                ..relay
            }
        })
    })
}

fn any_rule(peers: usize) -> impl Strategy<Value = Rule> {
    let selector = prop_oneof![
        2 => (0..peers).prop_map(Selector::Peer),
        2 => (0..3usize).prop_map(Selector::Group),
        2 => prefix().prop_map(Selector::Prefix),
        1 => Just(Selector::Any),
    ];
    let side = || prop::collection::vec(selector.clone(), 1..3);
    let except = prop::collection::vec(
        prop_oneof![
            (0..peers).prop_map(Selector::Peer),
            (0..3usize).prop_map(Selector::Group),
            prefix().prop_map(Selector::Prefix),
        ],
        0..2,
    );
    let services = prop::collection::vec(any_services(), 0..4);
    let until = prop_oneof![3 => Just(None), 1 => (90u64..110).prop_map(Some)];
    (side(), side(), except, services, any::<bool>(), until).prop_map(
        |(from, to, except, services, both_ways, until)| Rule {
            from,
            to,
            except,
            services,
            both_ways,
            until,
            ..Rule::new("r".parse().expect("a name"))
        },
    )
}

fn any_services() -> impl Strategy<Value = Services> {
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
    let port = || prop_oneof![4 => 20u16..40, 1 => Just(0), 1 => Just(u16::MAX), 1 => any::<u16>()];
    prop_oneof![
        6 => (transport, port(), port()).prop_map(|(transport, one, other)| Services::Ports {
            transport,
            first: one.min(other),
            last: one.max(other),
        }),
        1 => Just(Services::Echo),
        1 => Just(Services::Icmp),
        1 => (0..PROTOCOLS.len()).prop_map(|at| Services::Protocol(PROTOCOLS[at].1)),
    ]
}

fn any_service() -> impl Strategy<Value = Service> {
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
    let port = prop_oneof![4 => 20u16..40, 1 => Just(0), 1 => Just(u16::MAX), 1 => any::<u16>()];
    prop_oneof![
        6 => (transport, port).prop_map(|(transport, port)| Service::Port(transport, port)),
        1 => Just(Service::Echo),
        1 => Just(Service::Icmp),
        1 => any::<u8>().prop_map(Service::Protocol),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        8 => (0u32..2, 0u32..1 << 9).prop_map(|(outside, host)| {
            let base = if outside == 1 { 0xc0a8_0000 } else { 0x0a03_0200 };
            IpAddr::V4(Ipv4Addr::from_bits(base + host))
        }),
        6 => (0u128..2, 0u128..1 << 7).prop_map(|(outside, host)| {
            let base = if outside == 1 { 0xfd01 << 112 } else { (0xfd00 << 112) + 0x3_0002_0000 };
            IpAddr::V6(Ipv6Addr::from_bits(base + host))
        }),
        1 => any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        1 => any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

/// Whether the fast path charges packets between two addresses.
fn is_limited(compiled: &Compiled, source: IpAddr, destination: IpAddr) -> bool {
    let (source, destination) = (compiled.leaf(source), compiled.leaf(destination));
    let index = usize::try_from(source.cell_index(&destination)).expect("few cells");
    let cell = compiled.cells.get(index).copied().unwrap_or(Cell::EMPTY);
    let bits = cell::bits(cell.number(), &source);
    cell::is_limited_mutual(bits) || cell::is_limited_ruled(bits)
}

/// Whether the configuration limits them.
fn has_limits(relay: &Relay, source: IpAddr, destination: IpAddr) -> bool {
    let limits = |address| relay.owner(address).expect("an owner").1.limits;
    limits(source).has_from() || limits(destination).has_to()
}

proptest! {
    #[test]
    fn owners_that_are_looked_up_are_those_that_are_searched(
        relay in any_relay(),
        addresses in prop::collection::vec(address(), 100),
    ) {
        let owners = Owners::of(&relay);
        for address in addresses {
            let searched = relay.owner(address).map(|(_, peer)| peer);
            prop_assert_eq!(owners.owner(address), searched, "{}", address);
        }
    }

    #[test]
    fn compiled_and_formula_agree(
        relay in any_relay(),
        pairs in prop::collection::vec((address(), address()), 200),
    ) {
        let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
        let sources = Sources { relay: &relay, host_addresses: &[], slots: &slots };
        let compiled = compile(&sources, &[]).expect("small");
        for (source, destination) in pairs {
            prop_assert_eq!(
                compiled.decide(source, destination),
                eval(&sources, source, destination),
                "{} → {}", source, destination
            );
        }
    }

    #[test]
    fn compiled_rules_and_formula_agree(
        relay in any_ruled_relay(),
        openings in prop::collection::vec((address(), address(), any_service()), 200),
        now in 85u64..115,
    ) {
        let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
        // Numbers are not places.
        let numbers: Vec<u32> = (7..).step_by(3).take(relay.rules.len()).collect();
        let sources = Sources { relay: &relay, host_addresses: &[], slots: &slots };
        let compiled = compile(&sources, &numbers).expect("small");
        for (source, destination, service) in openings {
            let opening = Opening { source, destination, service };
            let formula = eval_opening(&sources, &opening, now);
            let listed = eval(&sources, source, destination);
            let found = match compiled.decide(source, destination) {
                Ok(Verdict::ByRule) => {
                    prop_assert!(is_ruled(&sources, source, destination), "{:?}", opening);
                    match compiled.allowing(source, destination, service) {
                        None => Err(Reason::NoRule),
                        Some(rule) if compiled.rule_ends[&rule].is_some_and(|end| now >= end) => {
                            Err(Reason::RuleEnded)
                        }
                        Some(rule) => Ok(Pass::Rule(
                            numbers.iter().position(|number| *number == rule).expect("a rule"),
                        )),
                    }
                }
                decided => {
                    prop_assert_eq!(decided, listed);
                    decided.map(Pass::Lists)
                }
            };
            prop_assert_eq!(found, formula, "{:?}", opening);
            if let Ok(Verdict::Relay | Verdict::ByRule) = compiled.decide(source, destination) {
                let limited = is_limited(&compiled, source, destination);
                prop_assert_eq!(limited, has_limits(&relay, source, destination), "{:?}", opening);
            }
        }
    }
}
