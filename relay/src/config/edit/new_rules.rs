//! The text of rules, with the groups that they need and tests.

use std::fmt::{Display, Write as _};

use super::new_peer::{assignments, list};
use crate::{
    config::read::Named,
    model::{End, Expectation, Group, PeerName, Relay, Rule, Selector},
};

/// Rules to write into a fragment, with the groups that they need and tests.
#[derive(Debug, Clone)]
pub struct NewRules<'a> {
    /// Has their peers, and all of their groups.
    pub relay: &'a Relay,
    /// Groups to write.
    pub groups: &'a [Group],
    /// Rules, each with a comment of one line.
    pub rules: Vec<(&'a Rule, String)>,
    /// Tests.
    pub tests: &'a [Expectation],
}

/// Columns up to which a list is on one line.
const WIDTH: usize = 100;

impl NewRules<'_> {
    /// The tables, with an empty line before each but the first.
    pub fn text(&self) -> String {
        let groups = (!self.groups.is_empty()).then(|| self.groups());
        let rules = self.rules.iter().map(|(rule, remark)| self.rule(rule, remark));
        let tests = self.tests.iter().map(|test| self.test(test));
        groups.into_iter().chain(rules).chain(tests).collect::<Vec<_>>().join("\n")
    }

    /// A selector with its name.
    pub fn named(&self, selector: Selector) -> Named {
        match selector {
            Selector::Any => Named::Any,
            Selector::Peer(peer) => Named::Peer(self.peer(peer).clone()),
            Selector::Group(group) => Named::Group(self.relay.groups[group].name.clone()),
            Selector::Prefix(net) => Named::Prefix(net),
        }
    }

    fn groups(&self) -> String {
        let lines: Vec<(&str, String)> = self
            .groups
            .iter()
            .map(|group| {
                let members: Vec<&PeerName> =
                    group.members.iter().map(|&peer| self.peer(peer)).collect();
                (group.name.as_str(), wrapped(&members))
            })
            .collect();
        assignments("[groups]", &lines)
    }

    fn rule(&self, rule: &Rule, remark: &str) -> String {
        let side = |selectors: &[Selector]| {
            wrapped(&selectors.iter().map(|one| self.named(*one)).collect::<Vec<_>>())
        };
        let mut lines = vec![
            ("name", format!("\"{}\"", rule.name)),
            ("from", side(&rule.from)),
            ("to", side(&rule.to)),
        ];
        if !rule.services.is_empty() {
            lines.push(("ports", wrapped(&rule.services)));
        }
        if rule.both_ways {
            lines.push(("both_ways", "true".to_owned()));
        }
        format!("# {remark}\n{}", assignments("[[rule]]", &lines))
    }

    fn test(&self, test: &Expectation) -> String {
        let end = |end: End| match end {
            End::Peer(peer) => format!("\"{}\"", self.peer(peer)),
            End::Address(address) => format!("\"{address}\""),
        };
        let mut lines = vec![("from", end(test.from)), ("to", end(test.to))];
        for (key, services) in [("allow", &test.allow), ("deny", &test.deny)] {
            if !services.is_empty() {
                lines.push((key, wrapped(services)));
            }
        }
        assignments("[[test]]", &lines)
    }

    fn peer(&self, place: usize) -> &PeerName {
        &self.relay.peers[place].name
    }
}

/// A list of strings that need no escaping, on several lines if it is long.
fn wrapped<T: Display>(items: &[T]) -> String {
    let text = list(items);
    if text.len() + "both_ways = ".len() <= WIDTH {
        return text;
    }
    let mut lines = String::from("[");
    let mut left = 0;
    for item in items {
        let item = format!("\"{item}\",");
        if left < item.len() + 1 {
            lines.push_str("\n   ");
            left = WIDTH - 3;
        }
        left -= item.len() + 1;
        // Writing to a string cannot fail.
        let _infallible = write!(lines, " {item}");
    }
    lines + "\n]"
}
