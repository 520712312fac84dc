//! `[[test]]`s of a configuration, judged.

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use relay_common::Reason;

use super::explain::sentence;
use crate::{
    config::{Asked, Loaded, Problem, Problems},
    model::{End, Expectation, Peer, Relay, Rule, Selector, Service, Territory},
    policy::{Nearest, Opening, Pass, Sources, eval_opening},
};

/// Judges the tests of a configuration by its policy now. Gives warnings about rules that have ended.
/// Tests of disabled peers are left out. As in `check`, addresses of the host are not known.
///
/// # Errors
/// Each test that fails, with what the policy says.
pub fn judge(loaded: &Loaded) -> Result<Vec<Problem>, Problems> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    judge_at(loaded, now)
}

fn judge_at(loaded: &Loaded, now: u64) -> Result<Vec<Problem>, Problems> {
    let relay = &loaded.relay;
    let failed: Problems = match relay.tests.as_slice() {
        [] => Problems::default(),
        tests => {
            let territory = Territory::of(relay);
            let tests = tests.iter().enumerate();
            tests
                .flat_map(|(place, test)| judge_one(loaded, &territory, place, test, now))
                .collect()
        }
    };
    if failed.iter().next().is_none() { Ok(loaded.ended(now)) } else { Err(failed) }
}

fn judge_one(
    loaded: &Loaded,
    territory: &Territory,
    place: usize,
    test: &Expectation,
    now: u64,
) -> Vec<Problem> {
    let Some(pair) = Pair::of(&loaded.relay, territory, test) else { return Vec::new() };
    let allow = test.allow.iter().enumerate().map(|(at, service)| (Asked::Allow(at), *service));
    let deny = test.deny.iter().enumerate().map(|(at, service)| (Asked::Deny(at), *service));
    let judge = |(asked, service)| {
        let mut openings = pair.openings(service);
        let problem = openings.find_map(|opening| match (asked, pair.verdict(&opening, now)) {
            (Asked::Allow(_), Err(reason)) => Some(pair.dropped(&opening, reason, now)),
            (Asked::Deny(_), Ok(pass)) => Some(pair.passed(loaded, &opening, pass)),
            (Asked::Allow(_), Ok(_)) | (Asked::Deny(_), Err(_)) => None,
        })?;
        loaded.unmet(place, asked, problem, "change the policy, or the test")
    };
    allow.chain(deny).filter_map(judge).collect()
}

/// The two peers of a test in a relay of their own, with the rules that cover both: by longest match
/// the same addresses are theirs there, so the verdicts are the same, and found without a look at
/// thousands of others.
struct Pair<'r> {
    relay: Relay,
    /// The rules, by their places in the whole relay.
    rules: Vec<usize>,
    from: (&'r Peer, Vec<IpAddr>),
    to: (&'r Peer, Vec<IpAddr>),
}

impl<'r> Pair<'r> {
    /// `None` if an address is nobody's, or a peer is disabled.
    fn of(whole: &'r Relay, territory: &Territory, test: &Expectation) -> Option<Self> {
        let end = |end| match end {
            End::Peer(peer) => Some((peer, whole.peers[peer].addresses.clone())),
            End::Address(address) => Some((territory.owner(address)?, vec![address])),
        };
        let ((from, sources), (to, destinations)) = (end(test.from)?, end(test.to)?);
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
    fn openings(&self, service: Service) -> impl Iterator<Item = Opening> + '_ {
        let (sources, destinations) = (&self.from.1, &self.to.1);
        sources.iter().flat_map(move |&source| {
            let family = move |it: &&IpAddr| it.is_ipv4() == source.is_ipv4();
            let destinations = destinations.iter().filter(family);
            destinations.map(move |&destination| Opening { source, destination, service })
        })
    }

    fn sources(&self) -> Sources<'_> {
        Sources { relay: &self.relay, host_addresses: &[], slots: &[1, 2] }
    }

    fn verdict(&self, opening: &Opening, now: u64) -> Result<Pass, Reason> {
        eval_opening(&self.sources(), opening, now)
    }

    /// `tcp/22 from ann (10.3.2.2) to web (10.3.2.4)`.
    fn asked(&self, opening: &Opening) -> String {
        let Opening { source, destination, service } = opening;
        let (from, to) = (&self.from.0.name, &self.to.0.name);
        format!("{service} from {from} ({source}) to {to} ({destination})")
    }

    fn passed(&self, loaded: &Loaded, opening: &Opening, pass: Pass) -> String {
        let asked = self.asked(opening);
        match pass {
            Pass::Lists(_) => format!("{asked} passes, because their allowed_ips hold each other"),
            Pass::Rule(rule) => {
                let at = loaded.place_of_rule(self.rules[rule]).unwrap_or_default();
                format!("{asked} passes by rule {} ({at})", self.relay.rules[rule].name)
            }
        }
    }

    fn dropped(&self, opening: &Opening, reason: Reason, now: u64) -> String {
        let (asked, why) = (self.asked(opening), self.why(opening, now));
        format!("{asked} is dropped ({}): {why}", reason.label())
    }

    /// Which rule is nearest to allow it, and why it does not.
    fn why(&self, opening: &Opening, now: u64) -> String {
        let Opening { source, destination, service } = *opening;
        let (from, to) = (&self.from.0.name, &self.to.0.name);
        if let Some(Nearest { rule, miss }) = Nearest::of(&self.sources(), opening, now) {
            let rule = &self.relay.rules[rule];
            let ends = [from.as_str(), to.as_str()];
            return format!("rule {} {}", rule.name, sentence(rule, miss, ends, service));
        }
        let lists = |peer: &Peer, other| peer.allowed_ips.iter().any(|net| net.contains(&other));
        let lists = match (lists(self.from.0, destination), lists(self.to.0, source)) {
            (false, false) => "neither lists the other in allowed_ips".to_owned(),
            (false, true) => format!("allowed_ips of {from} lack {destination}"),
            (true, _) => format!("allowed_ips of {to} lack {source}"),
        };
        format!("no rule lets {from} begin anything with {to}, and {lists}")
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
            let test =
                Expectation { from: End::Peer(from), to, allow: Vec::new(), deny: Vec::new() };
            let whole = Sources { relay: &relay, host_addresses: &[], slots: &[1, 2, 3, 4] };
            let Some(pair) = Pair::of(&relay, &territory, &test) else { return Ok(()) };
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
