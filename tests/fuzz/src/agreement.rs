//! The compiled policy against the formula.

use relay::{
    model::Relay,
    policy::{Compiled, Opening, Pass, Sources, compile, eval, eval_opening, is_ruled},
};
use relay_common::{Reason, verdict::Verdict};

/// A relay, and what became of it.
pub(crate) struct Policy<'r> {
    relay: &'r Relay,
    slots: Vec<u32>,
    numbers: Vec<u32>,
    compiled: Compiled,
}

impl<'r> Policy<'r> {
    /// Compiles it. `None` if it needs more room than there is.
    pub(crate) fn of(relay: &'r Relay) -> Option<Self> {
        let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
        // Numbers are not places.
        let numbers: Vec<u32> = (7..).step_by(3).take(relay.rules.len()).collect();
        let sources = Sources { relay, host_addresses: &[], slots: &slots };
        let compiled = compile(&sources, &numbers).ok()?;
        Some(Self { relay, slots, numbers, compiled })
    }

    /// Checks what it says of an opening at a time, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn check(&self, opening: &Opening, now: u64) {
        let sources = Sources { relay: self.relay, host_addresses: &[], slots: &self.slots };
        let Opening { source, destination, service } = *opening;
        let formula = eval_opening(&sources, opening, now);
        let listed = eval(&sources, source, destination);
        let found = match self.compiled.decide(source, destination) {
            Ok(Verdict::ByRule) => {
                assert!(is_ruled(&sources, source, destination), "{opening:?}");
                match self.compiled.allowing(source, destination, service) {
                    None => Err(Reason::NoRule),
                    Some(rule) if self.compiled.rule_ends[&rule].is_some_and(|end| now >= end) => {
                        Err(Reason::RuleEnded)
                    }
                    Some(rule) => Ok(Pass::Rule(
                        self.numbers.iter().position(|number| *number == rule).expect("a rule"),
                    )),
                }
            }
            decided => {
                assert_eq!(decided, listed, "{opening:?}");
                decided.map(Pass::Lists)
            }
        };
        assert_eq!(found, formula, "{opening:?} at {now}");
    }
}
