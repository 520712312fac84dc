use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};
use relay_common::verdict::Verdict;

use super::*;
use crate::{
    config::{self, NewRules, Options},
    engine,
    model::{End, Group, Peer, PublicKey, Relay, Rule, Selector, Service, Services, Transport},
    policy::{Opening, Pass, Sources, any_relay, eval_opening},
};

const SERVICES: [Service; 7] = [
    Service::Port(Transport::Tcp, 22),
    Service::Port(Transport::Tcp, 23),
    Service::Port(Transport::Tcp, 443),
    Service::Port(Transport::Udp, 22),
    Service::Echo,
    Service::Icmp,
    Service::Protocol(132),
];

pub(super) fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn one_use(from: usize, to: usize, service: Service) -> Use {
    Use { from, to, service: Some(service), packets: 10, bytes: 1_000, first: 100, last: 200 }
}

fn learnt(uses: &[(usize, usize, Service)]) -> Learnt {
    let uses = uses.iter().filter(|(from, to, _)| from != to);
    let uses: BTreeSet<(usize, usize, Service)> = uses.copied().collect();
    let uses = uses.into_iter().map(|(from, to, service)| one_use(from, to, service));
    Learnt { uses: uses.collect(), ..Learnt::default() }
}

/// Peers 10.3.2.2 and up, whose lists have the whole overlay.
pub(super) fn relay(count: u8) -> Relay {
    let peers = (2..count + 2).map(|number| Peer {
        addresses: vec![[10, 3, 2, number].into()],
        allowed_ips: vec![net("10.3.2.0/24")],
        ..Peer::new(
            format!("p{number}").parse().expect("a name"),
            PublicKey::from_bytes([number; 32]),
        )
    });
    Relay {
        addresses: vec![net("10.3.2.1/24")],
        peers: peers.collect(),
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

/// The fragment that a suggestion is.
fn text(suggestion: &Suggestion) -> String {
    let rules = suggestion.rules.iter().map(|one| {
        (&one.rule, format!("{} packets, {} bytes, last at {}", one.packets, one.bytes, one.last))
    });
    let Suggestion { relay, groups, tests, .. } = suggestion;
    NewRules { relay, groups, rules: rules.collect(), tests }.text()
}

/// The main file of a relay without rules.
fn main_file(relay: &Relay) -> String {
    let mut text = String::from("[relay]\naddress = [\"10.3.2.1/24\", \"fd00::3:2:1/120\"]\n");
    text += &NewRules { relay, groups: &relay.groups, rules: Vec::new(), tests: &[] }.text();
    for peer in &relay.peers {
        text += &format!(
            "[[peer]]\nname = \"{}\"\npublic_key = \"{}\"\naddress = {:?}\nroutes = {:?}\nallowed_ips = \
             {:?}\n",
            peer.name,
            peer.public_key,
            peer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            peer.routes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            peer.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        );
    }
    text
}

#[test]
fn equal_behaviour_is_one_rule_with_the_groups_that_there_are() {
    let tcp = |port| Service::Port(Transport::Tcp, port);
    let mut relay = relay(12);
    relay.groups = vec![Group { name: "ops".parse().expect("a name"), members: vec![0, 1, 2] }];
    let mut uses = Vec::new();
    for client in 0..3 {
        uses.extend([(client, 10, tcp(22)), (client, 11, tcp(22))]);
    }
    for client in 0..8 {
        uses.extend((8000..8003).map(|port| (client, 9, tcp(port))));
        uses.extend([(client, 8, Service::Port(Transport::Udp, 53)), (client, 8, tcp(53))]);
    }
    uses.extend([(10, 11, Service::Echo), (11, 10, Service::Echo), (10, 11, tcp(5432))]);
    insta::assert_snapshot!(text(&Suggestion::of(&relay, &learnt(&uses), Wanted::default())));
}

#[test]
fn what_rules_carry_needs_no_rule_and_what_counts_is_asked() {
    let mut relay = relay(3);
    let ssh = Service::Port(Transport::Tcp, 22);
    relay.peers[2].allowed_ips = Vec::new();
    relay.rules = vec![Rule {
        from: vec![Selector::Any],
        to: vec![Selector::Peer(1)],
        services: vec![Services::Ports { transport: Transport::Tcp, first: 22, last: 22 }],
        ..Rule::new("ssh".parse().expect("a name"))
    }];
    let mut learnt = learnt(&[(0, 1, ssh), (2, 1, ssh), (0, 2, ssh), (0, 1, Service::Echo)]);
    learnt.uses.push(Use { service: None, ..one_use(1, 0, ssh) });
    learnt.uses.push(Use { packets: 2, ..one_use(1, 0, ssh) });
    learnt.uses.push(Use { last: 20, ..one_use(1, 0, Service::Icmp) });
    let wanted = Wanted { min_packets: 3, since: 50 };
    let found = Suggestion::of(&relay, &learnt, wanted);
    let [LearntRule { rule, packets: 10, .. }] = found.rules.as_slice() else {
        panic!("{:?}", found.rules)
    };
    assert_eq!(rule.services, [Services::Echo]);
    assert_eq!(found.closed, [one_use(0, 2, ssh)]);
    assert_eq!((found.unknown, found.left_out), (vec![[1, 0]], 2));
    let test = &found.tests[0];
    assert_eq!((test.from, test.to), (End::Peer(0), End::Peer(1)));
    assert_eq!(test.deny, [Service::Port(Transport::Tcp, 23)], "somebody used ssh");
}

/// Whom lists open.
fn any_list() -> impl Strategy<Value = Vec<IpNet>> {
    const NETS: &[&str] = &[
        "10.3.2.0/24",
        "10.3.2.2/31",
        "10.3.2.4/32",
        "fd00::/16",
        "192.168.0.0/16",
        "192.168.1.0/26",
        "0.0.0.0/0",
    ];
    subsequence(NETS, 0..4).prop_map(|nets| nets.into_iter().map(net).collect())
}

fn any_uses() -> impl Strategy<Value = Vec<(usize, usize, Service)>> {
    vec((0usize..4, 0usize..4, select(SERVICES.as_slice())), 0..40)
}

prop_compose! {
    fn any_relay_with_lists()(relay in any_relay(), lists in vec(any_list(), 4)) -> Relay {
        let mut relay = relay;
        for (peer, list) in relay.peers.iter_mut().zip(lists) {
            peer.allowed_ips = list;
        }
        relay
    }
}

fn addresses() -> Vec<IpAddr> {
    let known = ["10.3.2.7", "192.168.1.7", "192.168.1.200", "192.168.7.7", "10.9.9.9"];
    let own = (2..6).flat_map(|last| [format!("10.3.2.{last}"), format!("fd00::3:2:{last}")]);
    let known = known.into_iter().map(str::to_owned).chain(own);
    known.map(|text| text.parse().expect("an address")).collect()
}

proptest! {
    #[test]
    fn rules_let_pass_what_was_learnt_of_lists_and_nothing_else(
        relay in any_relay_with_lists(),
        uses in any_uses(),
    ) {
        let found = Suggestion::of(&relay, &learnt(&uses), Wanted::default());
        let mut uses: BTreeSet<_> = uses.into_iter().collect();
        for (from, to, service) in uses.clone() {
            if service == Service::Icmp {
                uses.insert((from, to, Service::Echo));
            }
        }
        let ruled = Relay { rules: relay.rules.clone(), ..found.relay.clone() };
        for source in addresses() {
            for destination in addresses() {
                let owners = (relay.owner(source), relay.owner(destination));
                let (Some((from, _)), Some((to, _))) = owners else { continue };
                if source.is_ipv4() != destination.is_ipv4() {
                    continue;
                }
                for service in SERVICES {
                    let opening = Opening { source, destination, service };
                    let passes = |relay: &Relay| {
                        let sources = Sources { relay, host_addresses: &[], slots: &[1, 2, 3, 4] };
                        eval_opening(&sources, &opening, 0).ok()
                    };
                    let is_listed = passes(&relay) == Some(Pass::Lists(Verdict::Relay));
                    let is_needed = is_listed && uses.contains(&(from, to, service));
                    let expected = is_needed || passes(&ruled).is_some();
                    prop_assert_eq!(passes(&found.relay).is_some(), expected, "{:?}", opening);
                }
            }
        }
    }

    #[test]
    fn a_suggestion_is_read_back_as_it_is_and_its_tests_pass(
        relay in any_relay_with_lists(),
        uses in any_uses(),
    ) {
        let mut relay = Relay { rules: Vec::new(), ..relay };
        for (number, peer) in (1..).zip(&mut relay.peers) {
            peer.public_key = PublicKey::from_bytes([number; 32]);
        }
        let found = Suggestion::of(&relay, &learnt(&uses), Wanted::default());
        let main = main_file(&Relay { groups: relay.groups.clone(), ..found.relay.clone() });
        let files = [("relay.toml".into(), main), ("relay.d/learnt.toml".into(), text(&found))];
        let loaded = match config::load_texts(files, Options { allow_empty: true }) {
            Ok(loaded) => loaded,
            Err(problems) => return Err(TestCaseError::fail(format!("{problems}{}", text(&found)))),
        };
        prop_assert_eq!(&loaded.relay.rules, &found.relay.rules);
        prop_assert_eq!(&loaded.relay.tests, &found.tests);
        prop_assert_eq!(found.tests.len(), found.rules.len());
        if let Err(problems) = engine::judge(&loaded) {
            return Err(TestCaseError::fail(problems.to_string()));
        }
    }
}
