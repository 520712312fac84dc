use ipnet::IpNet;

use crate::model::{Lists, Relay, Rule, Service, Services, Sides, Spans, Territory};

/// Who may begin what with whom: by lists, and by rules without an end.
pub(super) struct Open<'r> {
    relay: &'r Relay,
    territory: Territory,
    lists: Lists,
    sides: Sides,
}

/// What a peer owns, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Share {
    pub peer: usize,
    /// The part, if it is not everything.
    pub part: Option<Vec<IpNet>>,
}

/// What lists open between two peers.
pub(super) struct Between {
    /// Addresses of each in both families; either both peers have some in a family, or none.
    spans: [[Spans; 2]; 2],
    /// The same as a rule names it.
    pub shares: [Share; 2],
}

/// Whether IPv4, in the order of families.
const FAMILIES: [bool; 2] = [true, false];

impl<'r> Open<'r> {
    pub(super) fn of(relay: &'r Relay) -> Self {
        let territory = Territory::of(relay);
        let sides = Sides::of(relay, &territory);
        Self { relay, territory, lists: Lists::of(relay), sides }
    }

    /// What lists open between two peers, if anything. That a peer is disabled does not matter.
    pub(super) fn by_lists(&self, one: usize, other: usize) -> Option<Between> {
        let mut spans: [[Spans; 2]; 2] = Default::default();
        let mut is_whole = [true; 2];
        for (family, is_v4) in FAMILIES.into_iter().enumerate() {
            let owned = [one, other].map(|peer| self.territory.of_peer(peer, is_v4));
            let open = [self.listed(other, one, is_v4), self.listed(one, other, is_v4)];
            if open.iter().all(|open| !open.is_empty()) {
                for (end, open) in open.into_iter().enumerate() {
                    is_whole[end] &= open == *owned[end];
                    spans[end][family] = open;
                }
            } else if owned.iter().all(|owned| !owned.is_empty()) {
                is_whole = [false; 2];
            }
        }
        if spans[0].iter().all(Spans::is_empty) {
            return None;
        }
        let share = |end: usize, peer: usize| {
            let nets = FAMILIES.into_iter().zip(&spans[end]);
            let nets = || nets.flat_map(|(is_v4, spans)| spans.prefixes(is_v4)).collect();
            Share { peer, part: (!is_whole[end]).then(nets) }
        };
        let shares = [share(0, one), share(1, other)];
        Some(Between { spans, shares })
    }

    /// What of a peer's addresses another peer's list holds.
    fn listed(&self, by: usize, peer: usize, is_v4: bool) -> Spans {
        let owned = self.territory.of_peer(peer, is_v4);
        owned.without(&owned.without(self.lists.spans(self.lists.of_peer(by), is_v4)))
    }

    /// Whether one rule without an end lets a peer begin this with another, or if it is `None`
    /// everything: between all addresses that lists open, or if lists open none, between any.
    pub(super) fn by_rule(
        &self,
        [from, to]: [usize; 2],
        between: Option<&Between>,
        service: Option<Service>,
    ) -> bool {
        let holds = |services: &Services| service.is_some_and(|asked| services.hold(asked));
        let is_for = |rule: &Rule| {
            rule.until.is_none() && (rule.services.is_empty() || rule.services.iter().any(holds))
        };
        let rules = self.relay.rules.iter().zip(self.sides.of_rules());
        rules.filter(|(rule, _)| is_for(rule)).any(|(rule, &[begins, answers])| {
            self.covers([begins, answers], [from, to], between)
                || rule.both_ways && self.covers([answers, begins], [from, to], between)
        })
    }

    fn covers(&self, sides: [usize; 2], ends: [usize; 2], between: Option<&Between>) -> bool {
        for (family, is_v4) in FAMILIES.into_iter().enumerate() {
            let sides = sides.map(|side| self.sides.side(side, is_v4));
            let has = (0..2).all(|end| sides[end].has(ends[end]));
            let Some(Between { spans, .. }) = between else {
                if has {
                    return true;
                }
                continue;
            };
            let holds = |end: usize| spans[end][family].without(&sides[end].addresses).is_empty();
            let is_whole = has && holds(0) && holds(1);
            if !is_whole && !spans[0][family].is_empty() {
                return false;
            }
        }
        between.is_some()
    }

    /// The relay without what lists open between peers.
    pub(super) fn emptied(&self) -> Relay {
        let mut relay = self.relay.clone();
        let left: Vec<Vec<IpNet>> =
            self.lists.numbers().map(|list| self.beyond_peers(list)).collect();
        for (place, peer) in relay.peers.iter_mut().enumerate() {
            peer.allowed_ips.clone_from(&left[self.lists.of_peer(place)]);
        }
        relay
    }

    fn beyond_peers(&self, list: usize) -> Vec<IpNet> {
        let left = FAMILIES.into_iter().flat_map(|is_v4| {
            let peers: Spans = self.territory.all(is_v4).map(|(span, _)| span).collect();
            self.lists.spans(list, is_v4).without(&peers).prefixes(is_v4)
        });
        left.collect()
    }
}
