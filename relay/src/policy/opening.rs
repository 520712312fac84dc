//! What the rules say about the first packet of a flow, by brute force: the oracle for the compiled
//! rules.

use std::{cmp::Reverse, net::IpAddr};

use relay_common::{Reason, verdict::Verdict};

use super::{
    eval::{Is, eval, whose},
    sources::Sources,
};
use crate::model::{Relay, Rule, Selector, Service};

/// The first packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Who begins.
    pub source: IpAddr,
    /// With whom.
    pub destination: IpAddr,
    /// What for.
    pub service: Service,
}

/// Why a packet passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// By lists, or to the host or beyond the overlay.
    Lists(Verdict),
    /// By a rule, by its place in [`Relay::rules`], to another peer.
    Rule(usize),
}

/// The verdict on the first packet of a flow that a peer sent, at a time in seconds since
/// 1970-01-01T00:00:00Z. Everything else is as in [`eval`].
///
/// Of several rules that allow it, that is named which ends last, and of those the first.
///
/// # Errors
/// Why it is dropped.
pub fn eval_opening(sources: &Sources<'_>, opening: &Opening, now: u64) -> Result<Pass, Reason> {
    let Opening { source, destination, service } = *opening;
    let listed = eval(sources, source, destination);
    let is_by_rules = matches!(
        listed,
        Err(Reason::NotInEitherList | Reason::NotInSourceList | Reason::NotInDestinationList)
    );
    if !is_by_rules {
        return listed.map(Pass::Lists);
    }
    let rules = || sources.relay.rules.iter().enumerate();
    let ends = [source, destination].map(|address| Owned::of(sources, address));
    let opens = |rule: &Rule| {
        rule.covers_owned(sources.relay, ends)
            && (rule.services.is_empty() || rule.services.iter().any(|one| one.hold(service)))
    };
    let best = rules()
        .filter(|(_, rule)| opens(rule))
        .max_by_key(|(place, rule)| (rule.until.unwrap_or(u64::MAX), Reverse(*place)));
    match best {
        Some((_, rule)) if rule.has_ended(now) => Err(Reason::RuleEnded),
        Some((place, _)) => Ok(Pass::Rule(place)),
        None if is_ruled(sources, source, destination) => Err(Reason::NoRule),
        None => listed.map(Pass::Lists),
    }
}

/// Whether one peer may begin anything with another, at a time in seconds since
/// 1970-01-01T00:00:00Z. Each is its place in [`Relay::peers`] and an address that it owns.
pub fn may_begin(relay: &Relay, from: (usize, IpAddr), to: (usize, IpAddr), now: u64) -> bool {
    let ends = [from, to].map(|(place, address)| Owned { place, address });
    let [Some(from), Some(to)] = ends.map(|end| end.if_enabled(relay)) else { return false };
    let lists = |one: Owned, other: Owned| {
        relay.peers[one.place].may_reach().iter().any(|net| net.contains(&other.address))
    };
    let by_rule =
        |rule: &Rule| !rule.has_ended(now) && rule.covers_owned(relay, [Some(from), Some(to)]);
    from.place != to.place
        && from.address.is_ipv4() == to.address.is_ipv4()
        && ((lists(from, to) && lists(to, from)) || relay.rules.iter().any(by_rule))
}

/// Whether any rule lets either side begin something with the other, whether it has ended or not.
pub fn is_ruled(sources: &Sources<'_>, one: IpAddr, other: IpAddr) -> bool {
    let [one, other] = [one, other].map(|address| Owned::of(sources, address));
    let relay = sources.relay;
    let mut rules = relay.rules.iter();
    rules.any(|rule| {
        rule.covers_owned(relay, [one, other]) || rule.covers_owned(relay, [other, one])
    })
}

/// An address of an enabled peer.
#[derive(Debug, Clone, Copy)]
struct Owned {
    /// Place of the peer.
    place: usize,
    address: IpAddr,
}

impl Owned {
    fn of(sources: &Sources<'_>, address: IpAddr) -> Option<Self> {
        let Is::Owned(owner) = whose(sources, address) else { return None };
        let place = sources.relay.peers.iter().position(|peer| peer.name == owner.name)?;
        Self { place, address }.if_enabled(sources.relay)
    }

    fn if_enabled(self, relay: &Relay) -> Option<Self> {
        relay.peers[self.place].enabled.then_some(self)
    }
}

impl Rule {
    /// Whether `source` may begin something with `destination` by this rule, whatever it is for.
    /// Both must be addresses of peers that are enabled.
    pub fn covers(&self, sources: &Sources<'_>, source: IpAddr, destination: IpAddr) -> bool {
        let ends = [source, destination].map(|address| Owned::of(sources, address));
        self.covers_owned(sources.relay, ends)
    }

    fn covers_owned(&self, relay: &Relay, ends: [Option<Owned>; 2]) -> bool {
        let [Some(source), Some(destination)] = ends else { return false };
        let names = |side: &[Selector], end: Owned| {
            side.iter().any(|selector| selector.names(relay, end.place, end.address))
        };
        let holds = |side, end| names(side, end) && !names(&self.except, end);
        (holds(&self.from, source) && holds(&self.to, destination))
            || (self.both_ways && holds(&self.to, source) && holds(&self.from, destination))
    }
}

impl Selector {
    /// Whether it names this address of the peer at that place.
    pub(super) fn names(&self, relay: &Relay, owner: usize, address: IpAddr) -> bool {
        match *self {
            Self::Any => true,
            Self::Peer(peer) => peer == owner,
            Self::Group(group) => relay.groups[group].members.binary_search(&owner).is_ok(),
            Self::Prefix(net) => net.contains(&address),
        }
    }
}
