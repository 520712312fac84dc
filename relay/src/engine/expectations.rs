//! `[[test]]`s of a configuration, judged.

use relay_common::Reason;

use super::{explain::sentence, now, pair::Pair};
use crate::{
    config::{Asked, Loaded, Problem, Problems},
    model::{Expectation, Peer, Territory},
    policy::{Nearest, Opening, Pass},
};

/// Judges the tests of a configuration by its policy now. Gives warnings about rules that have ended.
/// Tests of disabled peers are left out. As in `check`, addresses of the host are not known.
///
/// # Errors
/// Each test that fails, with what the policy says.
pub fn judge(loaded: &Loaded) -> Result<Vec<Problem>, Problems> {
    judge_at(loaded, now())
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
    let ends = [test.from, test.to];
    let Some(pair) = Pair::of(&loaded.relay, territory, ends) else { return Vec::new() };
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

impl Pair<'_> {
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
