//! Tables of rules and flows in memory.

extern crate std;

use core::cell::Cell;
use std::vec::Vec;

use proptest::prelude::*;

use super::sent::pair;
use crate::{
    bucket::Bucket,
    flow::{FlowSet, Flows},
    rules::{Directions, Grant, RuleSet, Rules},
    service,
};

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const PEERS: u8 = 4;
/// Few sets, so that they fill.
pub(super) const SETS: u32 = 2;
/// As [`super::OPENINGS`], of few tokens.
pub(super) const OPENINGS: Bucket = Bucket::new(20, 40);
/// Class of services that rules do not tell apart.
pub(super) const OTHER: u16 = 0;
pub(super) const CLASSES: u16 = 7;

/// A rule of the list. Its number is its place and 1.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) from: u8,
    pub(super) to: u8,
    /// `None` allows everything.
    pub(super) class: Option<u16>,
    pub(super) ends: u64,
}

/// The tables of a policy and of flows, in memory.
pub(super) struct Memory {
    pub(super) sets: Vec<FlowSet>,
    pub(super) openings: Vec<Cell<u64>>,
    pub(super) now_ns: u64,
    pub(super) generation: u32,
    pub(super) is_probe: bool,
    pub(super) policy: Policy,
}

/// The rules in force, as a list.
pub(super) struct Policy {
    pub(super) rules: Vec<Rule>,
    pub(super) in_force: u16,
}

impl Policy {
    /// By which rule, of several that which ends last.
    pub(super) fn allowing(&self, from: u8, to: u8, class: Option<u16>) -> Option<u32> {
        let allowing = |rule: &Rule| {
            (rule.from, rule.to) == (from, to) && (rule.class.is_none() || rule.class == class)
        };
        let numbered = (1u32..).zip(&self.rules);
        let best = numbered
            .filter(|(number, rule)| self.in_force >> (number - 1) & 1 == 1 && allowing(rule))
            .max_by_key(|(number, rule)| (rule.ends, core::cmp::Reverse(*number)));
        best.map(|(number, _)| number)
    }

    /// Whether any rule lets one begin something with the other.
    pub(super) fn opens(&self, from: u8, to: u8) -> bool {
        (0..CLASSES).any(|class| self.allowing(from, to, Some(class)).is_some())
    }

    pub(super) fn ends(&self, rule: u32) -> u64 {
        self.rules[rule as usize - 1].ends
    }

    pub(super) fn directions(&self, from: u8, to: u8) -> Directions {
        let number = |from: u8, to: u8| match self.opens(from, to) {
            true => u16::from(from * PEERS + to) + 1,
            false => 0,
        };
        Directions { forward: number(from, to), backward: number(to, from) }
    }
}

pub(super) fn class_of(asked: u32) -> u16 {
    match asked {
        22 => 1,
        80 => 2,
        asked if asked == service::UDP + 53 => 3,
        service::ECHO => 4,
        service::ICMP => 5,
        asked if asked == service::PROTOCOL + 47 => 6,
        _ => OTHER,
    }
}

impl Rules for Memory {
    fn class(&self, service: u32) -> u16 {
        class_of(service)
    }

    fn set(&self, number: u16) -> RuleSet {
        let number = number - 1;
        let [from, to] = [number / u16::from(PEERS), number % u16::from(PEERS)]
            .map(|peer| u8::try_from(peer).expect("a peer"));
        let all = self.policy.allowing(from, to, None).unwrap_or(0);
        RuleSet::new(u32::from(number * CLASSES), all)
    }

    fn grant(&self, index: u64) -> Grant {
        let index = u16::try_from(index).expect("few grants");
        let (number, class) = (index / CLASSES, index % CLASSES);
        let [from, to] = [number / u16::from(PEERS), number % u16::from(PEERS)]
            .map(|peer| u8::try_from(peer).expect("a peer"));
        let all = self.policy.allowing(from, to, None);
        match self.policy.allowing(from, to, Some(class)) {
            Some(rule) if Some(rule) != all => {
                Grant::new(number + 1, u16::try_from(rule).expect("few rules"))
            }
            // What another row left there.
            Some(_) | None => Grant::new(number + 2, 1),
        }
    }
}

impl Flows for Memory {
    fn set_of_flows(&self, number: u32) -> Option<&FlowSet> {
        self.sets.get((number % SETS) as usize)
    }

    fn set_of_datagrams(&self, _: u32) -> Option<&FlowSet> {
        None
    }

    fn replace(&self, word: &Cell<u64>, old: u64, new: u64) -> bool {
        let is_old = word.get() == old;
        if is_old {
            word.set(new);
        }
        is_old
    }

    fn may_begin(&self, slot: u32) -> bool {
        let bucket = &self.openings[slot as usize];
        let taken = OPENINGS.taken(bucket.get(), self.now_ns);
        taken.inspect(|taken| bucket.set(*taken)).is_some()
    }

    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn has_ended(&self, rule: u32) -> bool {
        self.now_ns >= self.policy.ends(rule)
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn seed(&self) -> u64 {
        7
    }

    fn opaque(&self, number: u64) -> u64 {
        number
    }

    fn is_probe(&self) -> bool {
        self.is_probe
    }
}

pub(super) fn any_rule() -> impl Strategy<Value = Rule> {
    let ends = prop_oneof![3 => Just(u64::MAX), 1 => (1_000u64..3_000).prop_map(|s| s * SECOND)];
    (pair(), prop::option::weighted(0.8, 1..CLASSES), ends)
        .prop_map(|((from, to), class, ends)| Rule { from, to, class, ends })
}
