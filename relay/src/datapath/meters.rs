//! What peers have used of their limits, by slot, in a map that outlives generations.
//!
//! It has the epochs of the counters, but the state is in the latest one alone: a new epoch begins with
//! what the one before it has.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData};
use relay_common::{meter::Used, names};

use super::{
    DatapathError,
    counters::Epoch,
    pinned::{METERS, Mapped, Pins, Words},
};
use crate::model::PublicKey;

/// Words of a [`Used`].
const WORDS: usize = size_of::<Used>() / size_of::<u64>();

/// Creates the map of an epoch with what the one before it has, if there is one. Packets that the
/// programs in force charge from then on to the switch are lost to it.
pub(super) fn carry_over(pins: &Pins, epoch: Epoch) -> Result<(), DatapathError> {
    let pin = pins.epoch_of(&METERS, epoch.number);
    if pin.exists() {
        return Ok(());
    }
    let Some(before) = latest(pins)? else { return Ok(()) };
    let failed = |action| DatapathError::map(names::METERS, action);
    let mut created = Array::<MapData, [u64; WORDS]>::create(epoch.capacity, METERS.flags())
        .map_err(failed("create"))?;
    for slot in 0..before.entries.min(epoch.capacity) {
        let used = words(&before.words, slot);
        created.set(slot, used, 0).map_err(failed("fill"))?;
    }
    pin.pin(|path| created.pin(path))
}

/// Empties the meters of these slots.
pub(super) fn clear(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    let Some(meters) = latest(pins)? else { return Ok(()) };
    for &slot in slots {
        let first = slot as usize * WORDS;
        (first..first + WORDS).for_each(|word| meters.words.clear(word));
    }
    Ok(())
}

/// What these peers have used; nothing without limits.
pub(super) fn read(
    pins: &Pins,
    slots: BTreeMap<PublicKey, u32>,
) -> Result<BTreeMap<PublicKey, Used>, DatapathError> {
    let Some(meters) = latest(pins)? else { return Ok(BTreeMap::new()) };
    let used = |slot| bytemuck::cast(words(&meters.words, slot));
    Ok(slots.into_iter().map(|(key, slot)| (key, used(slot))).collect())
}

/// What a slot has used in one map.
pub(super) fn of(map: &MapData, slot: u32) -> Result<Used, DatapathError> {
    let mapped = Mapped::new(names::METERS, map, (slot as usize + 1) * WORDS)?;
    Ok(bytemuck::cast(words(&mapped, slot)))
}

/// The map of the latest epoch that has one.
fn latest(pins: &Pins) -> Result<Option<Words>, DatapathError> {
    for epoch in pins.epochs()?.into_iter().rev() {
        if let Some(words) = pins.epoch_of(&METERS, epoch).words()? {
            return Ok(Some(words));
        }
    }
    Ok(None)
}

fn words(meters: &Mapped<u64>, slot: u32) -> [u64; WORDS] {
    std::array::from_fn(|word| meters.get(slot as usize * WORDS + word).unwrap_or(0))
}
