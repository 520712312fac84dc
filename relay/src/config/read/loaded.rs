use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

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
    /// The table `[mesh]`, or its `private_key_file`.
    pub(super) mesh: Option<Location>,
    /// In the order of `relay.peers`.
    pub(super) peers: Vec<PeerLocations>,
    /// In the order of `relay.rules`.
    pub(super) rules: Vec<RuleLocations>,
    /// In the order of `relay.tests`.
    pub(super) tests: Vec<TestLocations>,
    /// The files with the secrets of `relay.webhooks`, in their order.
    pub(super) webhooks: Vec<Location>,
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

    /// What `relay lend` has written: rules, by their places in `relay.rules`, each alone in a
    /// fragment of its name.
    pub fn lent(&self) -> impl Iterator<Item = (usize, &Path)> {
        let fragments = self.texts.get(1..).unwrap_or_default();
        let named = self.relay.rules.iter().zip(&self.rules).enumerate();
        named.filter_map(move |(place, (rule, at))| {
            let file = at.name.file.as_path();
            let is_fragment = || fragments.iter().any(|(path, _)| path == file);
            let has_name = || file.file_stem() == Some(OsStr::new(rule.name.as_str()));
            let is_lent = rule.name.is_lent() && has_name() && is_fragment();
            (is_lent && self.holds_one_table(file)).then_some((place, file))
        })
    }

    fn holds_one_table(&self, file: &Path) -> bool {
        let peers = self.peers.iter().map(|peer| &peer.public_key);
        let rules = self.rules.iter().map(|rule| &rule.name);
        let tests = self.tests.iter().filter_map(|test| test.allow.first().or(test.deny.first()));
        peers.chain(rules).chain(tests).filter(|at| at.file == file).take(2).count() == 1
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
