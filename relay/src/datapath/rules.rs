//! Traffic by rule, in a map that outlives generations.

use std::collections::BTreeMap;

use aya::maps::MapData;
use relay_common::{
    counters::{MAX_RULES, RuleCounters},
    names,
};

use super::{
    DatapathError, flows,
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

/// Traffic of these rules; zeros if nothing is pinned. The time of the last packet is that of all, as
/// far as the table of flows tells.
pub(super) fn read(
    pins: &Pins,
    numbers: BTreeMap<RuleName, u32>,
) -> Result<BTreeMap<RuleName, RuleCounters>, DatapathError> {
    let Some(pinned) = pins.map(&RULE_COUNTERS).words()? else {
        return Ok(numbers.into_keys().map(|name| (name, RuleCounters::default())).collect());
    };
    let in_flows = flows::last_uses(pins)?;
    let counters = |number| {
        let counters = at(&pinned.words, number);
        // A flow that no packet has followed may be of a rule that had the number before.
        let of_flows = in_flows.get(&number).filter(|_| counters.packets > 0).copied();
        RuleCounters { last_ns: counters.last_ns.max(of_flows.unwrap_or(0)), ..counters }
    };
    Ok(numbers.into_iter().map(|(name, number)| (name, counters(number))).collect())
}

/// Traffic of a rule in one map.
pub(super) fn of(map: &MapData, number: u32) -> Result<RuleCounters, DatapathError> {
    let words = Mapped::new(names::RULE_COUNTERS, map, MAX_RULES as usize * WORDS)?;
    Ok(at(&words, number))
}

/// When each rule ends, by its number, nanoseconds of TAI: 0 for a number without a rule. `rules` has
/// UTC, seconds since 1970-01-01T00:00:00Z.
pub(super) fn ends_ns(rules: &BTreeMap<u32, Option<u64>>, tai_offset_s: i32) -> Vec<u64> {
    let end_ns = |number| match rules.get(&number) {
        None => 0,
        Some(None) => u64::MAX,
        Some(Some(end)) => {
            end.saturating_add_signed(tai_offset_s.into()).saturating_mul(1_000_000_000)
        }
    };
    let highest = rules.keys().next_back().copied().unwrap_or(0);
    (0..=highest).map(end_ns).collect()
}

fn at(words: &Mapped<u64>, number: u32) -> RuleCounters {
    let first = number as usize * WORDS;
    let words: [u64; WORDS] = std::array::from_fn(|word| words.get(first + word).unwrap_or(0));
    bytemuck::cast(words)
}
