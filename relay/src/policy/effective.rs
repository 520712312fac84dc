//! Effective lists: whom a peer may exchange packets with, by its list and by rules.

use std::{collections::HashMap, rc::Rc};

use ipnet::IpNet;

use crate::model::{ClientRoutes, Relay, Sides, Spans, Territory, host_prefix};

/// The effective lists of the peers of a relay.
///
/// A rule gives each side the addresses of the other, whichever may begin: an answer needs its way,
/// too. Disabled peers and rules that ended count, as entries of lists do, so that switching a peer
/// off and on changes nobody's list.
pub struct Effective<'r> {
    relay: &'r Relay,
    territory: Territory,
    sides: Sides,
    /// What some sides have together. Peers of one group share it.
    together: HashMap<(bool, Vec<usize>), Rc<Spans>>,
}

/// The effective list of one peer, by its place in [`Relay::peers`]. For many of them, keep an
/// [`Effective`].
pub fn effective_list(relay: &Relay, peer: usize) -> Vec<IpNet> {
    Effective::of(relay).list(peer)
}

impl<'r> Effective<'r> {
    /// Of all peers.
    pub fn of(relay: &'r Relay) -> Self {
        let territory = Territory::of(relay);
        let sides = Sides::of(relay, &territory);
        Self { relay, territory, sides, together: HashMap::new() }
    }

    /// The relay.
    pub const fn relay(&self) -> &'r Relay {
        self.relay
    }

    /// A peer's `allowed_ips` as they are, then the fewest prefixes for what rules add.
    pub fn list(&mut self, peer: usize) -> Vec<IpNet> {
        let list = self.relay.peers[peer].allowed_ips.clone();
        self.with_rules(peer, list)
    }

    /// AllowedIPs of a peer's client: its effective list, or with `client_allowed_ips = "overlay"`
    /// the networks of the overlay, and what its effective list has beside them. Either way with the
    /// addresses of the relay that it asks for names.
    pub fn client(&mut self, peer: usize) -> Vec<IpNet> {
        let mut list = self.exchanged(peer);
        let asked: Vec<IpNet> = self
            .relay
            .asked_by(&self.relay.peers[peer])
            .map(host_prefix)
            .filter(|own| !list.iter().any(|net| net.contains(own)))
            .collect();
        list.extend(asked);
        list
    }

    fn exchanged(&mut self, peer: usize) -> Vec<IpNet> {
        if self.relay.client_allowed_ips == ClientRoutes::Exact {
            return self.list(peer);
        }
        let own = &self.relay.peers[peer];
        let of_family =
            |net: &IpNet| own.owned().any(|it| it.addr().is_ipv4() == net.addr().is_ipv4());
        let overlay: Vec<IpNet> =
            self.relay.addresses.iter().map(IpNet::trunc).filter(of_family).collect();
        let beside = |net: &&IpNet| !overlay.iter().any(|overlay| overlay.contains(*net));
        let beside: Vec<IpNet> = own.allowed_ips.iter().filter(beside).copied().collect();
        self.with_rules(peer, overlay.into_iter().chain(beside).collect())
    }

    /// Adds to a list what rules give a peer and it lacks.
    fn with_rules(&mut self, peer: usize, mut list: Vec<IpNet>) -> Vec<IpNet> {
        for is_v4 in FAMILIES {
            let given = self.given(peer, is_v4);
            if given.is_empty() {
                continue;
            }
            let given = self.together(is_v4, given);
            let has = Spans::of(&list, is_v4).iter().collect::<Vec<_>>();
            let own = self.territory.of_peer(peer, is_v4).iter();
            let lacks = given.without(&has.into_iter().chain(own).collect());
            list.extend(lacks.prefixes(is_v4));
        }
        list
    }

    /// The sides whose addresses rules give a peer, ascending.
    fn given(&self, peer: usize, is_v4: bool) -> Vec<usize> {
        let has = |side: usize| self.sides.side(side, is_v4).has(peer);
        let mut given: Vec<usize> = self
            .sides
            .of_rules()
            .iter()
            .flat_map(|&[from, to]| [(from, to), (to, from)])
            .filter(|&(own, _)| has(own))
            .map(|(_, other)| other)
            .collect();
        given.sort_unstable();
        given.dedup();
        given
    }

    fn together(&mut self, is_v4: bool, sides: Vec<usize>) -> Rc<Spans> {
        let covered = &self.sides;
        let together = self.together.entry((is_v4, sides)).or_insert_with_key(|(_, sides)| {
            let spans = sides.iter().flat_map(|&side| covered.side(side, is_v4).addresses.iter());
            Rc::new(spans.collect())
        });
        Rc::clone(together)
    }
}

/// Whether IPv4, in the order of lists.
const FAMILIES: [bool; 2] = [true, false];

#[cfg(test)]
pub(super) mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{
        model::{Dns, Group, Names, Peer, PublicKey, Rule, Selector, Service},
        policy::{Opening, Pass, Sources, eval_opening, may_begin},
    };

    fn net(text: &str) -> IpNet {
        text.parse().expect("a prefix")
    }

    fn peer(index: u8, allowed_ips: Vec<IpNet>) -> Peer {
        let name = format!("p{index}").parse().expect("a name");
        Peer {
            addresses: vec![address(index + 2)],
            allowed_ips,
            ..Peer::new(name, PublicKey::from_bytes([index; 32]))
        }
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 3, 2, last).into()
    }

    fn relay(peers: Vec<Peer>, rules: Vec<Rule>) -> Relay {
        Relay {
            addresses: vec![net("10.3.2.1/24"), net("fd00::3:2:1/120")],
            groups: vec![Group { name: "even".parse().expect("a name"), members: vec![0, 2] }],
            peers,
            rules,
            ..Relay::new("relay0".parse().expect("a name"))
        }
    }

    fn rule(from: &[Selector], to: &[Selector]) -> Rule {
        let name = "r".parse().expect("a name");
        Rule { from: from.to_vec(), to: to.to_vec(), ..Rule::new(name) }
    }

    #[test]
    fn without_rules_the_list_is_as_it_is_written() {
        let list = vec![net("10.3.2.4/32"), net("10.3.2.2/31"), net("0.0.0.0/0")];
        assert_eq!(effective_list(&relay(vec![peer(0, list.clone())], vec![]), 0), list);
    }

    #[test]
    fn both_sides_of_a_rule_need_each_other() {
        let peers = (0..4).map(|index| peer(index, vec![])).collect();
        let relay = relay(peers, vec![rule(&[Selector::Peer(1)], &[Selector::Group(0)])]);
        let list = |peer| effective_list(&relay, peer);
        assert_eq!(list(1), [net("10.3.2.2/32"), net("10.3.2.4/32")]);
        assert_eq!((list(0), list(2)), (vec![net("10.3.2.3/32")], vec![net("10.3.2.3/32")]));
        assert_eq!(list(3), []);
    }

    #[test]
    fn the_overlay_takes_the_place_of_what_it_holds() {
        let list = vec![net("10.3.2.3/32"), net("192.168.0.0/16")];
        let rules = vec![rule(&[Selector::Any], &[Selector::Any])];
        let routes = vec![net("172.16.0.0/24")];
        let peers = vec![peer(0, list), Peer { routes, ..peer(1, vec![]) }];
        let relay = Relay { client_allowed_ips: ClientRoutes::Overlay, ..relay(peers, rules) };
        let overlay = ["10.3.2.0/24", "192.168.0.0/16", "172.16.0.0/24"].map(net);
        assert_eq!(Effective::of(&relay).client(0), overlay);
    }

    #[test]
    fn a_client_that_asks_the_relay_for_names_sends_to_it() {
        let list = vec![net("10.3.2.4/32")];
        let dns =
            vec![Dns::Resolver("10.3.2.1".parse().expect("one")), Dns::Search("a".to_owned())];
        let peers = vec![Peer { dns, ..peer(0, list.clone()) }];
        let names = Some(Names { zone: "a".to_owned(), forward: vec![] });
        let named = Relay { names, ..relay(peers, vec![]) };
        assert_eq!(Effective::of(&named).client(0), ["10.3.2.4/32", "10.3.2.1/32"].map(net));
        // What is named as a resolver elsewhere changes no list.
        let without = Relay { names: None, ..named.clone() };
        assert_eq!(Effective::of(&without).client(0), list);
        let overlay = Relay { client_allowed_ips: ClientRoutes::Overlay, ..named };
        assert_eq!(Effective::of(&overlay).client(0), [net("10.3.2.0/24")]);
    }

    #[test]
    fn lists_of_ten_thousand_peers_that_reach_all_are_short() {
        let peers = (0..10_000u32).map(|index| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&index.to_le_bytes());
            let name = format!("p{index}").parse().expect("a name");
            let addresses = vec![Ipv4Addr::from(0x0a03_0100 + index).into()];
            Peer { addresses, ..Peer::new(name, PublicKey::from_bytes(key)) }
        });
        let relay = relay(peers.collect(), vec![rule(&[Selector::Any], &[Selector::Any])]);
        let mut effective = Effective::of(&relay);
        for peer in 0..relay.peers.len() {
            assert!(effective.list(peer).len() < 40);
        }
    }

    fn selector() -> impl Strategy<Value = Selector> {
        const PREFIXES: &[&str] = &["10.3.2.2/31", "10.3.2.0/28", "fd00::/16", "192.168.1.0/26"];
        prop_oneof![
            Just(Selector::Any),
            (0usize..4).prop_map(Selector::Peer),
            Just(Selector::Group(0)),
            select(PREFIXES).prop_map(|text| Selector::Prefix(net(text))),
        ]
    }

    prop_compose! {
        fn any_rule()(
            from in vec(selector(), 1..3),
            to in vec(selector(), 1..3),
            except in vec(selector(), 0..2),
            both_ways in any::<bool>(),
        ) -> Rule {
            Rule { except, both_ways, ..rule(&from, &to) }
        }
    }

    prop_compose! {
        /// Four peers with addresses 10.3.2.2 to 10.3.2.5, and rules about them.
        pub(crate) fn any_relay()(
            rules in vec(any_rule(), 0..4),
            routes in vec(select(["192.168.0.0/16", "192.168.1.0/24", "10.0.0.0/8"].as_slice()), 0..3),
            v6 in 0u16..16,
        ) -> Relay {
            let mut peers: Vec<Peer> = (0..4).map(|index| peer(index, vec![])).collect();
            for (peer, route) in peers.iter_mut().zip(routes) {
                if !peer.routes.contains(&net(route)) {
                    peer.routes.push(net(route));
                }
            }
            for (index, peer) in peers.iter_mut().enumerate() {
                if v6 >> index & 1 == 1 {
                    let last = u16::try_from(index).expect("few") + 2;
                    peer.addresses.push(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, 2, last).into());
                }
            }
            // No prefix has two owners.
            let mut seen = std::collections::HashSet::new();
            peers.iter_mut().for_each(|peer| peer.routes.retain(|route| seen.insert(*route)));
            relay(peers, rules)
        }
    }

    proptest! {
        #[test]
        fn who_may_begin_something_is_whose_first_packet_passes(
            relay in any_relay(),
            listed in vec((0usize..4, select(["10.3.2.2/31", "10.3.2.0/28", "fd00::/16"].as_slice())), 0..6),
            off in 0usize..8,
        ) {
            let mut relay = relay;
            for (peer, entry) in listed {
                relay.peers[peer].allowed_ips.push(net(entry));
            }
            if let Some(peer) = relay.peers.get_mut(off) {
                peer.enabled = false;
            }
            let sources = Sources { relay: &relay, host_addresses: &[], slots: &[1, 2, 3, 4] };
            let ends = || {
                let peers = relay.peers.iter().enumerate();
                peers.flat_map(|(place, peer)| peer.addresses.iter().map(move |own| (place, *own)))
            };
            for from in ends() {
                for to in ends() {
                    let (source, destination) = (from.1, to.1);
                    let opening = Opening { source, destination, service: Service::Echo };
                    let passes = source.is_ipv4() == destination.is_ipv4()
                        && eval_opening(&sources, &opening, 0).is_ok();
                    prop_assert_eq!(may_begin(&relay, from, to, 0), passes, "{:?} to {:?}", from, to);
                }
            }
        }

        #[test]
        fn a_list_has_exactly_what_rules_let_pass_either_way(relay in any_relay()) {
            let slots = [1, 2, 3, 4];
            let sources = Sources { relay: &relay, host_addresses: &[], slots: &slots };
            let mut known: Vec<IpAddr> = (1..6).map(address).collect();
            known.extend(["10.3.2.7", "10.3.2.77", "192.168.1.7", "192.168.1.200", "192.168.7.7", "10.9.9.9"].map(
                |text| text.parse::<IpAddr>().expect("an address"),
            ));
            known.extend((2..6).map(|last| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, 2, last))));
            let passes = |source, destination| {
                let opening = Opening { source, destination, service: Service::Echo };
                source.is_ipv4() == destination.is_ipv4()
                    && matches!(eval_opening(&sources, &opening, 0), Ok(Pass::Rule(_)))
            };
            let mut effective = Effective::of(&relay);
            for peer in 0..relay.peers.len() {
                let list = effective.list(peer);
                let own = |it: &&IpAddr| relay.owner(**it).is_some_and(|(place, _)| place == peer);
                for other in &known {
                    let needed = known
                        .iter()
                        .filter(own)
                        .any(|own| passes(*own, *other) || passes(*other, *own));
                    let listed = list.iter().any(|net| net.contains(other));
                    prop_assert_eq!(listed, needed, "p{} and {}: {:?}", peer, other, list);
                }
            }
        }
    }
}
