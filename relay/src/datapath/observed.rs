//! What the kernel has of a datapath, and which repairs that needs.

use std::fmt;

use relay_common::Generation;

use super::{
    Heritage, Hook, Retimed, Slots, StaleProgram, Taken, Trial, counters::Keeping, policy_hash,
    role::Role,
};
use crate::policy::Compiled;

/// State of a datapath in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The hooks, ingress first.
    pub hooks: [Hook; 2],
    /// Slots of keys, and numbers of rules.
    pub slots: Taken,
    /// Pins of other versions of relay.
    pub heritage: Vec<Heritage>,
    /// TAI minus UTC by the kernel's clocks, seconds.
    pub tai_offset_s: i32,
    pub(super) keeping: Keeping,
}

/// A repair that does not depend on the policy. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Take over the pins of another version.
    TakeOver(Heritage),
    /// Pin the maps that the programs count in again.
    Counters,
    /// Detach a stale program.
    Detach(StaleProgram),
    /// Take off what is left of a trial.
    Trial,
}

impl Observed {
    /// The policy in force, if both hooks have the same.
    pub fn generation(&self) -> Option<Generation> {
        let [ingress, egress] = &self.hooks;
        ingress.generation.filter(|generation| Some(*generation) == egress.generation)
    }

    /// Whether this policy is in force on both hooks, with these slots, counting in the pinned maps.
    pub fn carries_out(&self, compiled: &Compiled, slots: &Slots) -> bool {
        let in_force = self.generation().map(|generation| generation.policy_hash);
        in_force == Some(policy_hash(compiled)) && !slots.changed() && !self.counts_elsewhere()
    }

    /// Whether a candidate is tried.
    pub fn trial(&self) -> Trial {
        self.hooks[0].trial()
    }

    /// How far the ends of rules are off, if the policy in force has any.
    pub fn retimed(&self) -> Option<Retimed> {
        Retimed::of(self.generation()?.tai_offset_s, self.tai_offset_s)
    }

    /// Whether our program compares what it decides with what a candidate would.
    pub fn compares(&self) -> bool {
        self.hooks[0].compares
    }

    /// Whether our program counts what peers use of each other.
    pub fn learns(&self) -> bool {
        self.hooks[0].learns
    }

    /// What a policy is for that takes the place of the one in force.
    pub(super) fn role(&self) -> Role {
        if self.learns() { Role::Learning } else { Role::Alone }
    }

    /// Number of the next generation.
    pub fn next_number(&self) -> u64 {
        let numbers = self.hooks.iter().filter_map(|hook| hook.generation);
        numbers.map(|generation| generation.number).max().unwrap_or(0) + 1
    }

    /// Whether the programs count in other maps than the pinned ones. Only a new generation can change
    /// that.
    pub fn counts_elsewhere(&self) -> bool {
        self.keeping == Keeping::Elsewhere
    }

    /// Whether the maps that the programs count in are not pinned.
    pub fn counters_are_lost(&self) -> bool {
        matches!(self.keeping, Keeping::Lost { .. })
    }

    /// The necessary repairs.
    pub fn repairs(&self) -> Vec<Repair> {
        let heritage = self.heritage.iter().cloned().map(Repair::TakeOver);
        let counters = self.counters_are_lost().then_some(Repair::Counters);
        let stale = self.hooks.iter().flat_map(|hook| &hook.stale).cloned().map(Repair::Detach);
        let trial = (self.trial() == Trial::Broken).then_some(Repair::Trial);
        heritage.chain(counters).chain(stale).chain(trial).collect()
    }
}

#[cfg(test)]
impl Observed {
    /// A datapath whose programs, if any, enforce one generation and count in the pinned maps.
    pub(crate) fn of(generation: Option<Generation>, slots: Taken) -> Self {
        let mut hooks = super::Direction::BOTH.map(Hook::new);
        for hook in &mut hooks {
            hook.mode = generation.map(|_| super::Mode::Tcx);
            hook.generation = generation;
        }
        Self { hooks, slots, heritage: Vec::new(), tai_offset_s: 0, keeping: Keeping::Pinned }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeOver(heritage) => heritage.fmt(f),
            Self::Counters => f.write_str("~ counters: pinned again"),
            Self::Detach(stale) => write!(f, "- stale program {stale}"),
            Self::Trial => f.write_str("- trial: only part of it is there"),
        }
    }
}
