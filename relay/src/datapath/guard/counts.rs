//! Counts of the guard, per processor, in an array that outlives it.

use aya::maps::MapData;
use relay_common::{
    guard::{Counts, Outcome},
    names,
};

use super::super::{
    DatapathError,
    pinned::{GUARD_COUNTS, Mapped, Pins, rows_per_processor},
};

/// Messages by [`Outcome::index`].
pub type GuardCounts = [u64; Outcome::COUNT];

/// Words of a row.
const WORDS: usize = size_of::<Counts>() / size_of::<u64>();

/// Reads the pinned counts; zeros if nothing is pinned.
pub(super) fn read(pins: &Pins) -> Result<GuardCounts, DatapathError> {
    match pins.map(&GUARD_COUNTS).open()? {
        Some(map) => of(&map),
        None => Ok([0; Outcome::COUNT]),
    }
}

/// The sum over all processors.
pub(super) fn of(map: &MapData) -> Result<GuardCounts, DatapathError> {
    let rows = rows_per_processor()? as usize;
    let mapped = Mapped::<u64>::new(names::GUARD_COUNTS, map, rows * WORDS)?;
    Ok(std::array::from_fn(|outcome| {
        (0..rows).filter_map(|row| mapped.get(row * WORDS + outcome)).sum()
    }))
}
