use std::cmp::Reverse;

use super::{
    eval::{Is, whose},
    opening::Opening,
    sources::Sources,
};
use crate::model::{Peer, Rule, Selector};

/// The rule that allows an opening, or that comes nearest to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    /// Its place in [`crate::model::Relay::rules`].
    pub rule: usize,
    /// Why it does not allow it; none if it does.
    pub miss: Option<Miss>,
}

/// Why a rule does not allow an opening, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
    /// It has ended.
    Ended,
    /// It is for other services.
    Services,
    /// It lets the other side begin this, not the source.
    OtherWay,
    /// It excepts an end.
    Excepted,
    /// An end is disabled.
    Disabled,
}

impl Miss {
    /// Its label in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Services => "services",
            Self::OtherWay => "other_way",
            Self::Excepted => "excepted",
            Self::Disabled => "disabled",
        }
    }
}

impl Nearest {
    /// Of the rules that name both ends, at a time in seconds since 1970-01-01T00:00:00Z. Of several
    /// as near, that which ends last, and of those the first.
    pub fn of(sources: &Sources<'_>, opening: &Opening, now: u64) -> Option<Self> {
        let ends =
            [opening.source, opening.destination].map(|address| match whose(sources, address) {
                Is::Owned(peer) => Some((peer, address)),
                Is::Special(_) | Is::Nobody => None,
            });
        let [Some(source), Some(destination)] = ends else { return None };
        if source.0.name == destination.0.name {
            return None;
        }
        let rules = sources.relay.rules.iter().enumerate();
        let found = rules.filter_map(|(place, rule)| {
            let miss = miss(sources, rule, [source, destination], opening, now)?;
            Some((Self { rule: place, miss }, rule.until.unwrap_or(u64::MAX)))
        });
        let nearest = found.min_by_key(|(nearest, until)| (nearest.miss, Reverse(*until)));
        nearest.map(|(nearest, _)| nearest)
    }
}

/// Why a rule does not allow an opening; none if it names neither end so that it could.
fn miss(
    sources: &Sources<'_>,
    rule: &Rule,
    [source, destination]: [(&Peer, std::net::IpAddr); 2],
    opening: &Opening,
    now: u64,
) -> Option<Option<Miss>> {
    let names = |side: &[Selector], (peer, address): (&Peer, _)| {
        let place = sources.relay.named(peer.name.as_str()).map(|(place, _)| place);
        let named = |place| side.iter().any(|one| one.names(sources.relay, place, address));
        place.is_some_and(named)
    };
    let is_there = names(&rule.from, source) && names(&rule.to, destination);
    let is_back = names(&rule.to, source) && names(&rule.from, destination);
    let is_for = rule.services.is_empty()
        || rule.services.iter().any(|services| services.hold(opening.service));
    let is_on = source.0.enabled && destination.0.enabled;
    let is_excepted = names(&rule.except, source) || names(&rule.except, destination);
    match is_there || (rule.both_ways && is_back) {
        true if !is_on => Some(Some(Miss::Disabled)),
        true if is_excepted => Some(Some(Miss::Excepted)),
        true if !is_for => Some(Some(Miss::Services)),
        true if rule.has_ended(now) => Some(Some(Miss::Ended)),
        true => Some(None),
        false if is_back && is_for && is_on && !is_excepted && !rule.has_ended(now) => {
            Some(Some(Miss::OtherWay))
        }
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{PublicKey, Relay, Service, Services, Transport};

    const NOW: u64 = 1_000;

    fn relay(rules: Vec<Rule>) -> Relay {
        let peers = (2..5u8).map(|number| Peer {
            addresses: vec![IpAddr::from([10, 3, 2, number])],
            enabled: number != 4,
            ..Peer::new(
                format!("p{number}").parse().expect("a name"),
                PublicKey::from_bytes([number; 32]),
            )
        });
        Relay {
            addresses: vec!["10.3.2.1/24".parse().expect("a prefix")],
            peers: peers.collect(),
            rules,
            ..Relay::new("relay0".parse().expect("a name"))
        }
    }

    fn rule(name: &str, to: usize) -> Rule {
        let ssh = Services::Ports { transport: Transport::Tcp, first: 22, last: 22 };
        Rule {
            from: vec![Selector::Peer(0)],
            to: vec![Selector::Peer(to)],
            services: vec![ssh],
            ..Rule::new(name.parse().expect("a name"))
        }
    }

    /// The rule and its miss for a flow from one of the peers to another.
    fn nearest(rules: &[Rule], from: u8, to: u8, port: u16) -> Option<(usize, Option<Miss>)> {
        let relay = relay(rules.to_vec());
        let sources = Sources { relay: &relay, host_addresses: &[], slots: &[1, 2, 3] };
        let [source, destination] = [from, to].map(|number| IpAddr::from([10, 3, 2, number]));
        let service = Service::Port(Transport::Tcp, port);
        let opening = Opening { source, destination, service };
        Nearest::of(&sources, &opening, NOW).map(|nearest| (nearest.rule, nearest.miss))
    }

    #[test]
    fn the_nearest_rule_has_its_miss() {
        let ssh = rule("ssh", 1);
        let one = std::slice::from_ref(&ssh);
        assert_eq!(nearest(one, 2, 3, 22), Some((0, None)));
        assert_eq!(nearest(one, 2, 3, 23), Some((0, Some(Miss::Services))));
        assert_eq!(nearest(one, 3, 2, 22), Some((0, Some(Miss::OtherWay))));
        assert_eq!(nearest(one, 3, 2, 23), None);
        assert_eq!(nearest(one, 2, 9, 22), None);
        assert_eq!(nearest(&[rule("off", 2)], 2, 4, 22), Some((0, Some(Miss::Disabled))));
        let except = Rule { except: vec![Selector::Peer(1)], ..ssh.clone() };
        assert_eq!(nearest(&[except], 2, 3, 22), Some((0, Some(Miss::Excepted))));
        let ended = |until| Rule { until: Some(until), ..ssh.clone() };
        let both = [ended(NOW), rule("other", 1)];
        assert_eq!(nearest(&both[..1], 2, 3, 22), Some((0, Some(Miss::Ended))));
        assert_eq!(nearest(&both, 2, 3, 22), Some((1, None)));
        assert_eq!(nearest(&[ended(NOW + 1), ended(NOW + 2)], 2, 3, 22), Some((1, None)));
    }
}
