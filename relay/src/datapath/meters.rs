//! What peers have used of their limits, by slot, in a map that outlives generations.
//!
//! It has the epochs of the counters, but the state is in the latest one alone: a new epoch begins with
//! what the one before it has.

use std::{collections::BTreeMap, mem::offset_of};

use aya::maps::{Array, MapData};
use relay_common::{meter::Used, names};

use super::{
    DatapathError,
    counters::Epoch,
    pinned::{METERS, Mapped, Pins},
};
use crate::model::PublicKey;

/// Words of a [`Used`].
const WORDS: usize = size_of::<Used>() / size_of::<u64>();
/// Its words by themselves.
const DAY: usize = offset_of!(Used, day) / size_of::<u64>();
const USED_FROM: usize = offset_of!(Used, used_from) / size_of::<u64>();
const USED_TO: usize = offset_of!(Used, used_to) / size_of::<u64>();

/// Creates the map of an epoch, unless it is there: with what the one before it has, or else with what
/// is saved for these slots. Packets that the programs in force charge from then on to the switch are
/// lost to it.
pub(super) fn prepare(
    pins: &Pins,
    epoch: Epoch,
    saved: &[(u32, Used)],
) -> Result<(), DatapathError> {
    let pin = pins.epoch_of(&METERS, epoch.number);
    if pin.exists() {
        return Ok(());
    }
    let before: Vec<_> = match pins.latest(&METERS)? {
        Some(meters) => {
            (0..meters.entries).map(|slot| (slot, words(&meters.words, slot))).collect()
        }
        None => saved.iter().map(|&(slot, used)| (slot, bytemuck::cast(used))).collect(),
    };
    let failed = |action| DatapathError::map(names::METERS, action);
    let mut created = Array::<MapData, [u64; WORDS]>::create(epoch.capacity, METERS.flags())
        .map_err(failed("create"))?;
    for (slot, used) in before {
        created.set(slot, used, 0).map_err(failed("fill"))?;
    }
    pin.pin(|path| created.pin(path))
}

/// Sets what a slot has used of its quotas to nothing.
pub(super) fn reset(pins: &Pins, slot: u32) -> Result<(), DatapathError> {
    let Some(meters) = pins.latest(&METERS)? else { return Ok(()) };
    let first = slot as usize * WORDS;
    [USED_FROM, USED_TO].into_iter().for_each(|word| meters.words.clear(first + word));
    Ok(())
}

/// Makes every day that is still to come today, so that a clock that was ahead keeps no quota from
/// being reset.
pub(super) fn mend_days(pins: &Pins, today: u64) -> Result<(), DatapathError> {
    let Some(meters) = pins.latest(&METERS)? else { return Ok(()) };
    for word in (0..meters.entries as usize).map(|slot| slot * WORDS + DAY) {
        if let Some(day) = meters.words.get(word).filter(|day| *day > today) {
            meters.words.replace(word, day, today);
        }
    }
    Ok(())
}

/// Copies what is used into the map of a generation with this many slots, before any program uses it.
pub(super) fn copy(pins: &Pins, map: &MapData, capacity: u32) -> Result<(), DatapathError> {
    let Some(pinned) = pins.latest(&METERS)? else { return Ok(()) };
    let all = 0..pinned.entries.min(capacity);
    let used: Vec<u64> = all.flat_map(|slot| words(&pinned.words, slot)).collect();
    Mapped::new(names::METERS, map, capacity as usize * WORDS)?.fill(&used);
    Ok(())
}

/// Empties the meters of these slots.
pub(super) fn clear(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    let Some(meters) = pins.latest(&METERS)? else { return Ok(()) };
    for &slot in slots {
        let first = slot as usize * WORDS;
        (first..first + WORDS).for_each(|word| meters.words.clear(word));
    }
    Ok(())
}

/// What these peers have used; nothing without limits.
pub(super) fn read(
    pins: &Pins,
    slots: &BTreeMap<PublicKey, u32>,
) -> Result<BTreeMap<PublicKey, Used>, DatapathError> {
    let Some(meters) = pins.latest(&METERS)? else { return Ok(BTreeMap::new()) };
    let used = |slot| bytemuck::cast(words(&meters.words, slot));
    Ok(slots.iter().map(|(key, slot)| (*key, used(*slot))).collect())
}

/// What a slot has used in one map.
pub(super) fn of(map: &MapData, slot: u32) -> Result<Used, DatapathError> {
    let mapped = Mapped::new(names::METERS, map, (slot as usize + 1) * WORDS)?;
    Ok(bytemuck::cast(words(&mapped, slot)))
}

fn words(meters: &Mapped<u64>, slot: u32) -> [u64; WORDS] {
    std::array::from_fn(|word| meters.get(slot as usize * WORDS + word).unwrap_or(0))
}
