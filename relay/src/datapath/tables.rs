//! The tables that a generation's programs read without calls, from its read-only sections.

use std::borrow::Cow;

use bytemuck::Zeroable;
use relay_common::{
    Cell, Leaf,
    limits::Limits,
    names,
    rules::{Directions, Grant, RuleSet},
};

use super::{object::Table, rules};
use crate::policy::Compiled;

/// The tables of a policy. Those whose last entry is a constant have at least one.
pub(super) struct Tables<'a> {
    leaves_v4: &'a [Leaf],
    leaves_v6: &'a [Leaf],
    pub(super) cells: Cow<'a, [Cell]>,
    directions: Cow<'a, [Directions]>,
    pub(super) rule_sets: Cow<'a, [RuleSet]>,
    pub(super) grants: Cow<'a, [Grant]>,
    services: Cow<'a, [u16]>,
    pub(super) rule_ends: Vec<u64>,
    pub(super) limits: Cow<'a, [Limits]>,
}

impl<'a> Tables<'a> {
    pub(super) fn of(compiled: &'a Compiled, tai_offset_s: i32) -> Self {
        Self {
            leaves_v4: &compiled.leaves_v4,
            leaves_v6: &compiled.leaves_v6,
            cells: not_empty(&compiled.cells),
            directions: not_empty(&compiled.directions),
            rule_sets: not_empty(&compiled.rule_sets),
            grants: not_empty(&compiled.grants),
            services: not_empty(&compiled.services),
            rule_ends: rules::ends_ns(&compiled.rule_ends, tai_offset_s),
            limits: not_empty(&compiled.limits),
        }
    }

    /// The bytes of each, for the object.
    pub(super) fn sections(&self) -> [Table<'_>; 9] {
        [
            (names::LEAVES_V4, bytemuck::cast_slice(self.leaves_v4)),
            (names::LEAVES_V6, bytemuck::cast_slice(self.leaves_v6)),
            (names::CELLS, bytemuck::cast_slice(&self.cells)),
            (names::DIRECTIONS, bytemuck::cast_slice(&self.directions)),
            (names::RULE_SETS, bytemuck::cast_slice(&self.rule_sets)),
            (names::GRANTS, bytemuck::cast_slice(&self.grants)),
            (names::SERVICES, bytemuck::cast_slice(&self.services)),
            (names::RULE_ENDS, bytemuck::cast_slice(&self.rule_ends)),
            (names::LIMITS, bytemuck::cast_slice(&self.limits)),
        ]
    }
}

fn not_empty<T: Zeroable + Clone>(table: &[T]) -> Cow<'_, [T]> {
    if table.is_empty() { Cow::Owned(vec![T::zeroed()]) } else { Cow::Borrowed(table) }
}
