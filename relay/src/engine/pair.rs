//! Two peers, judged without a look at the others.

use std::net::IpAddr;

use relay_common::Reason;

use crate::{
    model::{End, Peer, Relay, Rule, Selector, Service, Territory},
    policy::{Opening, Pass, Sources, eval_opening},
};

/// Two peers in a relay of their own, with the rules that cover both: by longest match the same
/// addresses are theirs there, so the verdicts are the same, and found without a look at thousands of
/// others.
pub(super) struct Pair<'r> {
    pub(super) relay: Relay,
    /// The rules, by their places in the whole relay.
    pub(super) rules: Vec<usize>,
    /// The peer that begins, and its addresses in question.
    pub(super) from: (&'r Peer, Vec<IpAddr>),
    /// The other one.
    pub(super) to: (&'r Peer, Vec<IpAddr>),
}

impl<'r> Pair<'r> {
    /// `None` if an address is nobody's, or a peer is disabled.
    pub(super) fn of(whole: &'r Relay, territory: &Territory, ends: [End; 2]) -> Option<Self> {
        let end = |end| match end {
            End::Peer(peer) => Some((peer, whole.peers[peer].addresses.clone())),
            End::Address(address) => Some((territory.owner(address)?, vec![address])),
        };
        let [from, to] = ends.map(end);
        let ((from, sources), (to, destinations)) = (from?, to?);
        let peers = [from, to];
        if peers.iter().any(|&peer| !whole.peers[peer].enabled) {
            return None;
        }
        let addresses = [&sources[..], &destinations[..]].concat();
        let mut rules = Vec::new();
        let mut kept = Vec::new();
        for (place, rule) in whole.rules.iter().enumerate() {
            let side = |side: &[Selector]| only(whole, side, peers, &addresses);
            let (from, to) = (side(&rule.from), side(&rule.to));
            if !from.is_empty() && !to.is_empty() {
                let except = side(&rule.except);
                kept.push(Rule { from, to, except, ..rule.clone() });
                rules.push(place);
            }
        }
        let relay = Relay {
            addresses: whole.addresses.clone(),
            egress: whole.egress,
            peers: peers.iter().map(|&peer| whole.peers[peer].clone()).collect(),
            rules: kept,
            ..Relay::new(whole.interface.clone())
        };
        let (from, to) = ((&whole.peers[from], sources), (&whole.peers[to], destinations));
        Some(Self { relay, rules, from, to })
    }

    /// One for each two addresses of one family.
    pub(super) fn openings(&self, service: Service) -> impl Iterator<Item = Opening> + '_ {
        let (sources, destinations) = (&self.from.1, &self.to.1);
        sources.iter().flat_map(move |&source| {
            let family = move |it: &&IpAddr| it.is_ipv4() == source.is_ipv4();
            let destinations = destinations.iter().filter(family);
            destinations.map(move |&destination| Opening { source, destination, service })
        })
    }

    pub(super) fn sources(&self) -> Sources<'_> {
        Sources { relay: &self.relay, host_addresses: &[], slots: &[1, 2] }
    }

    pub(super) fn verdict(&self, opening: &Opening, now: u64) -> Result<Pass, Reason> {
        eval_opening(&self.sources(), opening, now)
    }
}

/// What a side says about two peers, which are the first and second of a relay of their own.
fn only(
    whole: &Relay,
    side: &[Selector],
    peers: [usize; 2],
    addresses: &[IpAddr],
) -> Vec<Selector> {
    let mut named = Vec::new();
    for selector in side {
        match *selector {
            Selector::Any => named.push(Selector::Any),
            Selector::Peer(peer) => {
                named.extend(peers.iter().position(|one| *one == peer).map(Selector::Peer));
            }
            Selector::Group(group) => {
                let members = &whole.groups[group].members;
                let is_in = |one: &(usize, &usize)| members.binary_search(one.1).is_ok();
                let of_two = peers.iter().enumerate().filter(is_in);
                named.extend(of_two.map(|(place, _)| Selector::Peer(place)));
            }
            Selector::Prefix(net) if addresses.iter().any(|address| net.contains(address)) => {
                named.push(Selector::Prefix(net));
            }
            Selector::Prefix(_) => {}
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::any_relay;

    proptest! {
        #[test]
        fn two_peers_alone_are_judged_as_among_all(
            relay in any_relay(),
            ends in [0usize..4, 0usize..4],
            behind in any::<bool>(),
        ) {
            let territory = Territory::of(&relay);
            let [from, to] = ends;
            let to = match "192.168.1.7".parse().expect("an address") {
                address if behind => End::Address(address),
                _ => End::Peer(to),
            };
            let whole = Sources { relay: &relay, host_addresses: &[], slots: &[1, 2, 3, 4] };
            let Some(pair) = Pair::of(&relay, &territory, [End::Peer(from), to]) else { return Ok(()) };
            for opening in pair.openings(Service::Echo) {
                let alone = pair.verdict(&opening, 0).map(|pass| match pass {
                    Pass::Rule(rule) => Pass::Rule(pair.rules[rule]),
                    lists @ Pass::Lists(_) => lists,
                });
                prop_assert_eq!(alone, eval_opening(&whole, &opening, 0), "{:?}", opening);
            }
        }
    }
}
