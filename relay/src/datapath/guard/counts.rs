//! What became of messages, counted by each processor for itself, in an array that outlives the
//! guard.

use aya::{maps::MapData, util::nr_cpus};
use relay_common::{
    guard::{Counts, Outcome},
    names,
};

use super::super::{DatapathError, Pins, mapped::Mapped, shape::Shape};

/// Messages by [`Outcome::index`].
pub type GuardCounts = [u64; Outcome::COUNT];

const ROW: Shape = Shape::mapped_array(128);

const _: () = assert!(size_of::<Counts>() == ROW.value_size as usize);

/// Words of a row.
const WORDS: usize = size_of::<Counts>() / size_of::<u64>();

/// Rows: one for each processor that there may ever be.
pub(super) fn rows() -> Result<u32, DatapathError> {
    let (path, source) = match nr_cpus() {
        Ok(count) => return Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        Err(failed) => failed,
    };
    Err(DatapathError::Pin { path: path.into(), action: "read", source })
}

/// A row for each processor.
pub(in super::super) fn shape() -> Result<Shape, DatapathError> {
    Ok(ROW.of(rows()?))
}

/// Checks what is pinned, if anything is, before a program counts in it.
pub(super) fn check(pins: &Pins) -> Result<(), DatapathError> {
    let path = pins.guard_counts();
    if path.exists() {
        shape()?.require(names::GUARD_COUNTS, &path)?;
    }
    Ok(())
}

pub(super) fn read(pins: &Pins) -> Result<GuardCounts, DatapathError> {
    let path = pins.guard_counts();
    if !path.exists() {
        return Ok([0; Outcome::COUNT]);
    }
    check(pins)?;
    of(&MapData::from_pin(&path).map_err(DatapathError::map(names::GUARD_COUNTS, "open"))?)
}

/// The sum over all processors.
pub(super) fn of(map: &MapData) -> Result<GuardCounts, DatapathError> {
    let rows = rows()? as usize;
    let mapped = Mapped::<u64>::new(names::GUARD_COUNTS, map, rows * WORDS)?;
    Ok(std::array::from_fn(|outcome| {
        (0..rows).filter_map(|row| mapped.get(row * WORDS + outcome)).sum()
    }))
}
