use std::net::IpAddr;

use ipnet::IpNet;

use super::{Relay, Span, Spans, host_prefix, spans::number};

/// Which addresses each peer owns, by longest match: an index for many look-ups, and for whole
/// networks. The relay's own addresses belong to no peer.
#[derive(Debug)]
pub struct Territory {
    v4: Parts,
    v6: Parts,
}

/// One address family.
#[derive(Debug)]
struct Parts {
    /// Ascending, and disjoint: addresses and their owner.
    owned: Vec<(Span, usize)>,
    /// The same by owner.
    of_peer: Vec<Spans>,
}

impl Territory {
    /// Of all peers of a relay, disabled ones included.
    pub fn of(relay: &Relay) -> Self {
        Self { v4: Parts::of(relay, true), v6: Parts::of(relay, false) }
    }

    /// What a peer owns in one family, by its place in [`Relay::peers`].
    pub fn of_peer(&self, peer: usize, is_v4: bool) -> &Spans {
        &self.parts(is_v4).of_peer[peer]
    }

    /// The owner of an address.
    pub fn owner(&self, address: IpAddr) -> Option<usize> {
        let is_v4 = address.is_ipv4();
        let address = number(address);
        let span = Span { first: address, last: address };
        self.within(span, is_v4).next().map(|(_, owner)| owner)
    }

    /// What peers own between two addresses of one family, with its owners.
    pub fn within(&self, span: Span, is_v4: bool) -> impl Iterator<Item = (Span, usize)> + '_ {
        let owned = &self.parts(is_v4).owned;
        let start = owned.partition_point(|(held, _)| held.last < span.first);
        let overlapping =
            owned[start..].iter().take_while(move |(held, _)| held.first <= span.last);
        overlapping.filter_map(move |&(held, owner)| Some((held.common(span)?, owner)))
    }

    /// What all peers own in one family, with its owners.
    pub fn all(&self, is_v4: bool) -> impl Iterator<Item = (Span, usize)> + '_ {
        self.parts(is_v4).owned.iter().copied()
    }

    const fn parts(&self, is_v4: bool) -> &Parts {
        if is_v4 { &self.v4 } else { &self.v6 }
    }
}

impl Parts {
    fn of(relay: &Relay, is_v4: bool) -> Self {
        let own = relay.addresses.iter().map(|net| (host_prefix(net.addr()), None));
        let peers = relay.peers.iter().enumerate();
        let peers = peers.flat_map(|(place, peer)| peer.owned().map(move |net| (net, Some(place))));
        let mut nets: Vec<(IpNet, Option<usize>)> =
            own.chain(peers).filter(|(net, _)| net.addr().is_ipv4() == is_v4).collect();
        nets.sort_unstable();
        let owned = innermost(&nets);
        let mut by_peer: Vec<Vec<Span>> = vec![Vec::new(); relay.peers.len()];
        for &(span, owner) in &owned {
            by_peer[owner].push(span);
        }
        Self { owned, of_peer: by_peer.into_iter().map(Spans::from_iter).collect() }
    }
}

/// Cuts prefixes, each before those inside it, into spans that belong to the innermost one.
fn innermost(nets: &[(IpNet, Option<usize>)]) -> Vec<(Span, usize)> {
    let mut spans = Vec::with_capacity(nets.len());
    // Ends and owners of the prefixes around `at`, the first address that has no span yet.
    let mut around: Vec<(u128, Option<usize>)> = Vec::new();
    let mut at = Some(0);
    let mut give = |first: Option<u128>, last: u128, owner: Option<usize>| {
        let Some(first) = first.filter(|first| *first <= last) else { return first };
        spans.extend(owner.map(|owner| (Span { first, last }, owner)));
        last.checked_add(1)
    };
    for (net, owner) in nets {
        let Span { first, last } = Span::of(net);
        while let Some((end, outer)) = around.pop_if(|(end, _)| *end < first) {
            at = give(at, end, outer);
        }
        if let (Some((_, outer)), Some(before)) = (around.last(), first.checked_sub(1)) {
            give(at, before, *outer);
        }
        at = Some(first);
        around.push((last, *owner));
    }
    while let Some((end, outer)) = around.pop() {
        at = give(at, end, outer);
    }
    spans
}
