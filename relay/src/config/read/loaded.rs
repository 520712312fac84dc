use std::path::{Path, PathBuf};

use super::{fault::Fault, place::Location, problem::Problem};
use crate::model::Relay;

/// What a configuration may lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a relay without peers is valid. By default it is not: a list that became empty by
    /// mistake would cut everybody off.
    pub allow_empty: bool,
}

/// A configuration without problems.
#[derive(Debug)]
pub struct Loaded {
    /// The relay it describes.
    pub relay: Relay,
    /// What is valid but looks wrong.
    pub warnings: Vec<Problem>,
    /// The files that it was read from, the main one first.
    pub(super) texts: Vec<(PathBuf, String)>,
    pub(super) private_key_file: Location,
    /// In the order of `relay.peers`.
    pub(super) peers: Vec<PeerLocations>,
    /// In the order of `relay.rules`.
    pub(super) rules: Vec<RuleLocations>,
    /// In the order of `relay.tests`.
    pub(super) tests: Vec<TestLocations>,
}

impl Loaded {
    /// The files that it was read from, the main one first, with their texts.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// `file:line` of a peer, by its place in `relay.peers`.
    pub fn place_of(&self, peer: usize) -> Option<String> {
        let at = &self.peers.get(peer)?.public_key;
        Some(format!("{}:{}", at.file.display(), at.line))
    }

    /// `file:line` of a rule, by its place in `relay.rules`.
    pub fn place_of_rule(&self, rule: usize) -> Option<String> {
        let at = &self.rules.get(rule)?.name;
        Some(format!("{}:{}", at.file.display(), at.line))
    }

    /// Warnings about rules that have ended at a time, seconds since 1970-01-01T00:00:00Z.
    pub fn ended(&self, now: u64) -> Vec<Problem> {
        let rules = self.relay.rules.iter().zip(&self.rules);
        let ended = rules.filter(|(rule, _)| rule.has_ended(now));
        ended
            .filter_map(|(rule, at)| {
                let fault = Fault::new(
                    "is in the past, so that the rule allows nothing",
                    "write a later time, or remove the rule",
                );
                Some(at.until.as_ref()?.problem(format!("rule.{}.until", rule.name), fault))
            })
            .collect()
    }

    /// A problem of the rules up to this one, by its place in `relay.rules`.
    pub fn beyond(
        &self,
        rule: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<Problem> {
        let name = &self.relay.rules.get(rule)?.name;
        let problem = format!("with this rule, {}", problem.into());
        Some(self.rules[rule].name.problem(format!("rule.{name}"), Fault::new(problem, remedy)))
    }

    /// A problem of what a test asks for.
    pub fn unmet(
        &self,
        test: usize,
        asked: Asked,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<Problem> {
        let test = self.tests.get(test)?;
        let (at, key) = match asked {
            Asked::Allow(place) => (test.allow.get(place)?, "test.allow"),
            Asked::Deny(place) => (test.deny.get(place)?, "test.deny"),
        };
        Some(at.problem(key, Fault::new(problem, remedy)))
    }
}

/// An entry of a test, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Of `allow`.
    Allow(usize),
    /// Of `deny`.
    Deny(usize),
}

/// Where a peer's cryptographic keys are named.
#[derive(Debug, Clone)]
pub(super) struct PeerLocations {
    pub(super) public_key: Location,
    pub(super) preshared_key_file: Option<Location>,
}

/// Where a rule has its name and its end.
#[derive(Debug, Clone)]
pub(super) struct RuleLocations {
    pub(super) name: Location,
    pub(super) until: Option<Location>,
}

/// Where a test has the services that it asks for.
#[derive(Debug, Clone)]
pub(super) struct TestLocations {
    pub(super) allow: Vec<Location>,
    pub(super) deny: Vec<Location>,
}
