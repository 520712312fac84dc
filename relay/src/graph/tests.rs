use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::model::{Peer, PublicKey, Rule, Selector, Services, Transport};

#[test]
fn a_family_that_only_one_side_lists_makes_a_pair_partial() {
    let relay = relay(vec![
        peer(2, &["10.0.0.2", "fd00::2"], &[], &["10.0.0.3/32", "fd00::3/128"]),
        peer(3, &["10.0.0.3", "fd00::3"], &[], &["10.0.0.2/32"]),
    ]);
    assert_eq!(Graph::new(&relay, 0).relation(0, 1), Relation::Part);
    assert_eq!(Graph::new(&relay, 0).relation(1, 0), Relation::Part);
}

#[test]
fn a_family_that_one_side_does_not_have_takes_nothing_away() {
    let relay = relay(vec![
        peer(2, &["10.0.0.2", "fd00::2"], &[], &["10.0.0.3/32"]),
        peer(3, &["10.0.0.3"], &[], &["10.0.0.2/32"]),
    ]);
    assert_eq!(Graph::new(&relay, 0).relation(0, 1), Relation::Whole);
}

#[test]
fn lists_that_cross_in_families_let_nothing_pass() {
    let relay = relay(vec![
        peer(2, &["10.0.0.2", "fd00::2"], &[], &["10.0.0.3/32"]),
        peer(3, &["10.0.0.3", "fd00::3"], &[], &["fd00::2/128"]),
    ]);
    assert_eq!(Graph::new(&relay, 0).relation(0, 1), Relation::Crossed);
}

#[test]
fn one_side_alone_is_told_from_both_ends() {
    let relay = relay(vec![
        peer(2, &["10.0.0.2"], &[], &["10.0.0.0/29"]),
        peer(3, &["10.0.0.3"], &[], &[]),
    ]);
    let graph = Graph::new(&relay, 0);
    assert_eq!((graph.relation(0, 1), graph.relation(1, 0)), (Relation::Lists, Relation::Listed));
    assert_eq!(graph.summary(), Summary { one_sided: 1, ..Summary::default() });
}

/// Peers 2 and 3 may begin with peer 4, and 4 anything with 3.
fn ruled() -> Relay {
    let rule = |name: &str, from: Vec<Selector>, to: usize| Rule {
        from,
        to: vec![Selector::Peer(to)],
        ..Rule::new(name.parse().expect("a name"))
    };
    let ssh = Services::Ports { transport: Transport::Tcp, first: 22, last: 22 };
    let peers = [2, 3, 4].map(|number| peer(number, &[&format!("10.0.0.{number}")], &[], &[]));
    Relay {
        rules: vec![
            Rule {
                services: vec![ssh],
                ..rule("ssh", vec![Selector::Peer(0), Selector::Peer(1)], 2)
            },
            Rule { until: Some(9), ..rule("back", vec![Selector::Peer(2)], 1) },
        ],
        ..relay(peers.to_vec())
    }
}

#[test]
fn rules_relate_peers_that_lists_do_not() {
    let graph = Graph::new(&ruled(), 0);
    assert_eq!(graph.relation(0, 2), Relation::Ruled(Way::There));
    assert_eq!(graph.relation(2, 0), Relation::Ruled(Way::Back));
    assert_eq!(graph.relation(1, 2), Relation::Ruled(Way::Both));
    assert_eq!(graph.relation(0, 1), Relation::None);
    assert_eq!((graph.label(0, 2), graph.label(2, 1)), ("tcp/22".into(), "everything".into()));
    assert_eq!(graph.summary(), Summary { ruled: 2, ..Summary::default() });
    assert_eq!(graph.partners(), [1, 1, 2]);
    let later = Graph::new(&ruled(), 9);
    assert_eq!(later.relation(1, 2), Relation::Ruled(Way::There), "the rule has ended");
}

#[test]
fn what_is_lent_is_marked() {
    let mut relay = ruled();
    relay.rules[1].name = "lent-4-3".parse().expect("a name");
    let graph = Graph::new(&relay, 0);
    assert_eq!(
        (graph.label(2, 1), graph.label(1, 2)),
        ("everything (lent)".into(), "tcp/22".into())
    );
    assert!(graph.is_lent(2, 1) && !graph.is_lent(1, 2) && !graph.is_lent(0, 1));
    assert!(!Graph::new(&relay, 9).rules.has_lent(), "it has ended");
    let mut text = Vec::new();
    render_dot_into(&mut text, &graph, None).expect("memory is never full");
    let picture = Picture::of(&graph, None).expect("few peers");
    render_svg_into(&mut text, &picture).expect("memory is never full");
    let text = String::from_utf8(text).expect("text");
    for mark in
        ["[style=dashed, color=\"#1565c0\", label=\"everything (lent)\"]", "<path class=\"lent\""]
    {
        assert_eq!(text.matches(mark).count(), 1, "{mark}");
    }
    // Beside a rule that stays, it is no longer lent alone.
    relay.rules.push(Rule { name: "stays".parse().expect("a name"), ..relay.rules[1].clone() });
    assert_eq!(Graph::new(&relay, 0).label(2, 1), "everything");
}

#[test]
fn lists_that_hold_each_other_win_over_rules() {
    let mut relay = ruled();
    let all = || vec!["10.0.0.0/29".parse().expect("a prefix")];
    relay.peers[0].allowed_ips = all();
    relay.peers[2].allowed_ips = all();
    relay.peers[1].allowed_ips = all();
    relay.peers[1].enabled = false;
    let graph = Graph::new(&relay, 0);
    assert_eq!(graph.relation(0, 2), Relation::Whole);
    assert_eq!(graph.summary(), Summary { whole: 1, one_sided: 2, ..Summary::default() });
    assert_eq!((graph.partners(), graph.opened.len()), (vec![1, 0, 1], 0));
}

#[test]
fn a_network_that_others_take_whole_owns_nothing() {
    let relay = relay(vec![
        peer(2, &[], &["10.0.0.8/31"], &["10.0.0.2/32"]),
        peer(3, &["10.0.0.8", "10.0.0.9"], &[], &[]),
        peer(4, &["10.0.0.2"], &[], &["10.0.0.8/31"]),
    ]);
    let graph = Graph::new(&relay, 0);
    assert_eq!(graph.relation(2, 0), Relation::Listed, "peer 4 lists what peer 3 owns");
    assert_eq!(graph.relation(2, 1), Relation::Lists);
}

#[test]
fn ten_thousand_peers_of_two_kinds_are_counted_without_a_look_at_each_pair() {
    let nodes = (1..10_000u32).map(|n| Peer {
        addresses: vec![IpAddr::from((0x0a00_0000 + n).to_be_bytes())],
        ..peer(9, &[], &[], &["10.0.0.0/32"])
    });
    let admin = peer(2, &["10.0.0.0"], &[], &["10.0.0.0/16"]);
    let graph = Graph::new(&relay(std::iter::once(admin).chain(nodes).collect()), 0);
    assert_eq!(graph.summary(), Summary { whole: 9_999, ..Summary::default() });
    assert_eq!(graph.partners()[..2], [9_999, 1]);
    let mut text = Vec::new();
    render_matrix_into(&mut text, &graph, None, false).expect("memory is never full");
    assert!(String::from_utf8(text).expect("text").contains("talks to 9999"));
}

#[test]
fn open_peers_are_summed_up_without_a_look_at_each_pair() {
    const COUNT: u32 = 100_000;
    let nodes = (0..COUNT).map(|n| Peer {
        addresses: vec![IpAddr::from((0x0a00_0000 + n).to_be_bytes())],
        ..peer(9, &[], &[], &["10.0.0.0/8"])
    });
    let graph = Graph::new(&relay(nodes.collect()), 0);
    let looks = std::cell::Cell::new(0);
    let in_question = graph.pairs_with(|relation| {
        looks.set(looks.get() + 1);
        relation != Relation::Whole
    });
    assert_eq!((in_question.count(), looks.get()), (0, 1));
    let mut text = Vec::new();
    render_matrix_into(&mut text, &graph, None, false).expect("memory is never full");
    assert!(String::from_utf8(text).expect("text").contains("4999950000 of 4999950000 pairs talk"));
    assert_eq!(
        graph.require_few_pairs(),
        Err(TooManyPairs { found: 4_999_950_000, most: PAIRS_MAX })
    );
}

#[test]
fn traffic_widens_the_busiest_pair_and_enlarges_the_busiest_peer() {
    let relay = relay(vec![
        peer(2, &["10.0.0.2"], &[], &["10.0.0.0/29"]),
        peer(3, &["10.0.0.3"], &[], &["10.0.0.2/32"]),
        peer(4, &["10.0.0.4"], &[], &["10.0.0.2/32"]),
    ]);
    let graph = Graph::new(&relay, 0);
    let drawn = |traffic: Option<&Traffic>| {
        let mut text = Vec::new();
        let picture = Picture::of(&graph, traffic).expect("three peers");
        render_svg_into(&mut text, &picture).expect("memory is never full");
        String::from_utf8(text).expect("text")
    };
    let dots = |text: &str| -> Vec<String> {
        let dots = text.split(" r=\"").skip(1);
        dots.map(|dot| dot.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(dots(&drawn(None)), ["5.0", "5.0", "5.0"]);
    let peers = vec![400, 100, 0];
    let traffic = Traffic::new(peers.clone(), None);
    assert_eq!(dots(&drawn(Some(&traffic))), ["14.0", "9.5", "5.0"]);
    let pairs = HashMap::from([((0, 1), 2048), ((0, 2), 512)]);
    let traffic = Traffic::new(peers, Some(pairs));
    let text = drawn(Some(&traffic));
    assert!(text.contains("stroke-width=\"6.5\"") && text.contains("stroke-width=\"4.0\""));
    let mut dot = Vec::new();
    render_dot_into(&mut dot, &graph, Some(&traffic)).expect("memory is never full");
    let dot = String::from_utf8(dot).expect("text");
    assert!(dot.contains("[dir=both, penwidth=6.0, edgetooltip=\"2.00 KiB\"];"), "{dot}");
    assert!(dot.contains("[dir=both, penwidth=3.5, edgetooltip=\"512 B\"];"), "{dot}");
    let mut matrix = Vec::new();
    render_matrix_into(&mut matrix, &graph, Some(&traffic), false).expect("memory is never full");
    let matrix = String::from_utf8(matrix).expect("text");
    assert!(matrix.lines().any(|line| line.ends_with("       400 B")), "{matrix}");
}

proptest! {
    /// Every address against every list, which is the formula.
    #[test]
    fn relations_are_what_every_address_says(
        peers in proptest::collection::vec((sides(), sides(), sides()), 2..5),
    ) {
        let peers = peers.into_iter().enumerate().map(|(at, (addresses, routes, lists))| Peer {
            name: format!("peer-{at}").parse().expect("a name"),
            public_key: PublicKey::from_bytes([u8::try_from(at).expect("few"); 32]),
            addresses: addresses.iter().map(IpNet::addr).collect(),
            routes,
            allowed_ips: lists,
            ..peer(0, &[], &[], &[])
        });
        let mut peers: Vec<_> = peers.collect();
        own_once(&mut peers);
        let relay = relay(peers);
        let graph = Graph::new(&relay, 0);
        for from in 0..relay.peers.len() {
            for to in 0..relay.peers.len() {
                prop_assert_eq!(
                    graph.relation(from, to), brute(&relay, from, to), "{:#?}", relay.peers
                );
            }
        }
        let pairs: Vec<_> = graph.pairs().collect();
        let expected: Vec<_> = (0..relay.peers.len())
            .flat_map(|from| (from + 1..relay.peers.len()).map(move |to| (from, to)))
            .map(|(from, to)| (from, to, graph.relation(from, to)))
            .filter(|(_, _, relation)| *relation != Relation::None)
            .collect();
        prop_assert_eq!(pairs, expected);
    }
}

fn brute(relay: &Relay, from: usize, to: usize) -> Relation {
    if from == to {
        return Relation::None;
    }
    let owned = |peer: usize, v4: bool| -> Vec<IpAddr> {
        universe().filter(|a| a.is_ipv4() == v4 && owner(relay, *a) == Some(peer)).collect()
    };
    let lists = |peer: usize, address: &IpAddr| {
        relay.peers[peer].allowed_ips.iter().any(|net| net.contains(address))
    };
    let (mut talks, mut there, mut back, mut whole) = (false, false, false, true);
    for v4 in [true, false] {
        let (ours, theirs) = (owned(from, v4), owned(to, v4));
        there |= theirs.iter().any(|address| lists(from, address));
        back |= ours.iter().any(|address| lists(to, address));
        for (a, b) in ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b))) {
            let passes = lists(from, b) && lists(to, a);
            talks |= passes;
            whole &= passes;
        }
    }
    match (talks, there, back) {
        (true, _, _) if whole => Relation::Whole,
        (true, _, _) => Relation::Part,
        (_, true, true) => Relation::Crossed,
        (_, true, false) => Relation::Lists,
        (_, false, true) => Relation::Listed,
        (_, false, false) => Relation::None,
    }
}

fn owner(relay: &Relay, address: IpAddr) -> Option<usize> {
    let own = relay.peers.iter().enumerate();
    let own = own.flat_map(|(at, peer)| peer.owned().map(move |net| (net, at)));
    own.filter(|(net, _)| net.contains(&address))
        .max_by_key(|(net, _)| net.prefix_len())
        .map(|(_, at)| at)
}

/// Eight addresses of each family.
fn universe() -> impl Iterator<Item = IpAddr> {
    (0..8).flat_map(|n| {
        [IpAddr::from([10, 0, 0, n]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)])]
    })
}

/// Prefixes of the universe.
fn sides() -> impl Strategy<Value = Vec<IpNet>> {
    let net = (0u8..8, 0u8..=3, any::<bool>()).prop_map(|(n, bits, v4)| {
        let (address, all) = match v4 {
            true => (IpAddr::from([10, 0, 0, n]), 32),
            false => (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)]), 128),
        };
        IpNet::new(address, all - bits).expect("a length").trunc()
    });
    proptest::collection::vec(net, 0..4)
}

/// As `config` has it: no prefix has two owners.
fn own_once(peers: &mut [Peer]) {
    let mut seen = std::collections::HashSet::new();
    for peer in peers {
        peer.addresses.retain(|address| seen.insert(IpNet::from(*address)));
        peer.routes.retain(|route| seen.insert(*route));
    }
}

fn relay(peers: Vec<Peer>) -> Relay {
    Relay {
        addresses: vec!["10.9.0.1/24".parse().expect("an address")],
        peers,
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

fn peer(key: u8, addresses: &[&str], routes: &[&str], allowed_ips: &[&str]) -> Peer {
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a net")).collect();
    Peer {
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
        routes: nets(routes),
        allowed_ips: nets(allowed_ips),
        ..Peer::new(
            format!("node-{key}").parse().expect("a name"),
            PublicKey::from_bytes([key; 32]),
        )
    }
}

#[test]
fn the_json_has_a_relation_for_each_two_kinds_of_peers() {
    let relay = relay(vec![
        peer(2, &["10.0.0.2"], &[], &["10.0.0.0/29"]),
        peer(3, &["10.0.0.3"], &[], &["10.0.0.2/32"]),
        peer(4, &["10.0.0.4"], &[], &["10.0.0.2/32"]),
        peer(5, &["10.0.0.5"], &[], &[]),
    ]);
    let graph = Graph::new(&relay, 0);
    let traffic = Traffic::new(vec![0; 4], Some(HashMap::from([((0, 2), 7), ((0, 1), 0)])));
    let drawing = Drawing::of(&graph, Some(&traffic)).expect("four peers");
    insta::assert_snapshot!(serde_json::to_string_pretty(&drawing).expect("JSON"));
}
