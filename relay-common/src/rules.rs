//! Compiled rules: what one class may begin with another, found without walking a list.
//!
//! A cell that rules decide has two *rule sets*: what the source may begin with the destination, and
//! the other way. A set and the class of a service give the rule that allows it.

use bytemuck::{Pod, Zeroable};

use crate::service;

/// Rule sets of a cell; 0 is the empty set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Directions {
    /// What the source may begin with the destination.
    pub forward: u16,
    /// What the destination may begin with the source.
    pub backward: u16,
}

/// The rules of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RuleSet {
    /// Where its row starts in the array of grants.
    row: u32,
    /// The rule that allows every service without a grant; 0 if there is none.
    rule: u32,
}

/// The rule of a set and a service class, marked with the number of the set.
///
/// Rows are displaced into one array so that they interlock. All zeros is an empty grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Grant(u32);

/// The tables of a policy.
pub trait Rules {
    /// The class of a service.
    fn class(&self, service: u32) -> u16;

    /// A rule set; an empty one if there is none of this number.
    fn set(&self, number: u16) -> RuleSet;

    /// A grant; an empty one behind the last.
    fn grant(&self, index: u64) -> Grant;
}

impl RuleSet {
    /// A set whose row starts there, and the rule that allows everything, if any.
    pub const fn new(row: u32, rule: u32) -> Self {
        Self { row, rule }
    }
}

impl Grant {
    /// The rule, below 2^16, that allows the services of a class to a set.
    pub const fn new(set: u16, rule: u16) -> Self {
        Self((set as u32) << 16 | rule as u32)
    }

    /// Whether no set has it.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// The rule by which a set allows a service, of several the one that ends last.
#[inline(always)]
pub fn allowing(rules: &impl Rules, set: u16, service: u32) -> Option<u32> {
    if set == 0 || service >= service::COUNT {
        return None;
    }
    let RuleSet { row, rule } = rules.set(set);
    let Grant(grant) = rules.grant(row as u64 + rules.class(service) as u64);
    let rule = if grant >> 16 == set as u32 { grant & 0xffff } else { rule };
    if rule == 0 { None } else { Some(rule) }
}
