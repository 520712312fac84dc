//! The rule that decides, or the nearest one that does not allow it, and why.

use relay_common::verdict::Verdict;
use serde::Serialize;

use crate::{
    config::Loaded,
    engine::rfc3339,
    model::{Rule, Service},
    policy::{Explanation, Miss, Nearest, Party, ServiceSet},
};

/// A rule, for an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ruled {
    /// Its name.
    pub name: String,
    /// `file:line`.
    place: Option<String>,
    /// When it ends.
    until: Option<String>,
    /// Why it does not allow the packet; none if it does.
    pub miss: Option<&'static str>,
    /// The same as a sentence.
    pub text: String,
    #[serde(skip)]
    nearest: Option<Miss>,
}

impl Ruled {
    pub(super) fn of(loaded: &Loaded, explanation: &Explanation<'_>, nearest: Nearest) -> Self {
        let rule = &loaded.relay.rules[nearest.rule];
        let place = loaded.place_of_rule(nearest.rule);
        let name = rule.name.to_string();
        let until = rule.until.map(rfc3339);
        let at = place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
        let (a, b) = (named(&explanation.source), named(&explanation.destination));
        let said = sentence(rule, nearest.miss, [&a, &b], explanation.service);
        Self {
            text: format!("rule {name}{at} {said}"),
            name,
            place,
            until,
            miss: nearest.miss.map(Miss::label),
            nearest: nearest.miss,
        }
    }

    /// What to change so that the rule allows the packet.
    pub(super) fn remedy(&self, explanation: &Explanation<'_>) -> Option<String> {
        let Self { name, .. } = self;
        let service = explanation.service;
        let change = match self.nearest? {
            Miss::Ended => format!("write a later until for rule {name}"),
            Miss::Services => format!("add \"{service}\" to ports of rule {name}"),
            Miss::OtherWay => format!("write both_ways = true for rule {name}"),
            Miss::Excepted => format!("change except of rule {name}"),
            // A line of its own says so.
            Miss::Disabled => return None,
        };
        Some(format!("{change}, and run `relay up`"))
    }
}

/// What a rule says about a service that one of two ends begins with the other, behind its name.
pub(in crate::engine) fn sentence(
    rule: &Rule,
    miss: Option<Miss>,
    [a, b]: [&str; 2],
    service: Service,
) -> String {
    let until = rule.until.map(rfc3339);
    match miss {
        None => {
            let ends = until.map_or_else(String::new, |until| format!(" until {until}"));
            format!("lets {a} begin {service} with {b}{ends}")
        }
        Some(Miss::Ended) => {
            let until = until.unwrap_or_default();
            format!("let {a} begin {service} with {b}; it ended at {until}")
        }
        Some(Miss::Services) => {
            let services = ServiceSet::of(&rule.services);
            format!("lets {a} begin {services} with {b}, not {service}")
        }
        Some(Miss::OtherWay) => format!("lets {b} begin {service} with {a}, not {a} with {b}"),
        Some(Miss::Excepted) => {
            format!("would let {a} begin {service} with {b}, but its except names one of them")
        }
        Some(Miss::Disabled) => {
            format!("would let {a} begin {service} with {b}, but one of them is disabled")
        }
    }
}

/// The rule that would allow a packet between peers, and no more.
pub(super) fn new_rule(explanation: &Explanation<'_>) -> Option<String> {
    let [(_, from), (_, to)] = [explanation.source.peer?, explanation.destination.peer?];
    let (from, to, service) = (&from.name, &to.name, explanation.service);
    Some(format!(
        "for this alone, write a [[rule]] with from = [\"{from}\"], to = [\"{to}\"] and ports = \
         [\"{service}\"], and run `relay up`"
    ))
}

/// What an answer means for the other direction.
pub(super) fn back(there: &Explanation<'_>, back: &Explanation<'_>) -> Option<String> {
    let (a, b) = (named(&there.source), named(&there.destination));
    match (there.verdict, back.verdict) {
        (Ok(Verdict::Relay), Ok(_)) if there.rule.is_none() => {
            Some("lists let everything through, and either may begin".to_owned())
        }
        (Ok(Verdict::Relay), Ok(_)) => {
            Some(format!("answers pass; {b} may begin it with {a} as well"))
        }
        (Ok(Verdict::Relay), Err(reason)) => {
            let reason = reason.label();
            Some(format!("answers pass; {b} may not begin it with {a} ({reason})"))
        }
        (Err(_), Ok(_)) => Some(format!("{b} may begin it with {a}; then answers from {a} pass")),
        (Ok(_) | Err(_), _) => None,
    }
}

fn named(party: &Party<'_>) -> String {
    party.peer.map_or_else(|| party.address.to_string(), |(_, peer)| peer.name.to_string())
}
