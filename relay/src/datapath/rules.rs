//! Traffic by rule, in a map that outlives generations.

use std::collections::BTreeMap;

use aya::maps::MapData;
use relay_common::{
    counters::{MAX_RULES, RuleCounters},
    names,
};

use super::{
    DatapathError,
    pinned::{Mapped, Pins, RULE_COUNTERS},
};
use crate::model::RuleName;

/// Words of a [`RuleCounters`].
const WORDS: usize = size_of::<RuleCounters>() / size_of::<u64>();

/// Sets the counters of these numbers to zero.
pub(super) fn clear(pins: &Pins, numbers: &[u32]) -> Result<(), DatapathError> {
    let Some(pinned) = pins.map(&RULE_COUNTERS).words()? else { return Ok(()) };
    for &number in numbers {
        let first = number as usize * WORDS;
        (first..first + WORDS).for_each(|word| pinned.words.clear(word));
    }
    Ok(())
}

/// Traffic of these rules; zeros if nothing is pinned.
pub(super) fn read(
    pins: &Pins,
    numbers: BTreeMap<RuleName, u32>,
) -> Result<BTreeMap<RuleName, RuleCounters>, DatapathError> {
    let pinned = pins.map(&RULE_COUNTERS).words()?;
    let counters = |number| match &pinned {
        Some(pinned) => at(&pinned.words, number),
        None => RuleCounters::default(),
    };
    Ok(numbers.into_iter().map(|(name, number)| (name, counters(number))).collect())
}

/// Traffic of a rule in one map.
pub(super) fn of(map: &MapData, number: u32) -> Result<RuleCounters, DatapathError> {
    let words = Mapped::new(names::RULE_COUNTERS, map, MAX_RULES as usize * WORDS)?;
    Ok(at(&words, number))
}

fn at(words: &Mapped<u64>, number: u32) -> RuleCounters {
    let first = number as usize * WORDS;
    let words: [u64; WORDS] = std::array::from_fn(|word| words.get(first + word).unwrap_or(0));
    bytemuck::cast(words)
}
