//! At which relay of a mesh peers are at home, by slot, in a map that outlives generations.
//!
//! It has the epochs of the counters, but the state is in the latest one alone: a new epoch begins with
//! what the one before it has.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData};
use relay_common::{mesh::Home, names};

use super::{
    DatapathError,
    counters::Epoch,
    pinned::{HOMES, Pins},
};
use crate::model::PublicKey;

/// Creates the map of an epoch, unless it is there. A program that writes to the map before it
/// meanwhile writes in vain: the next packet of that peer does it again.
pub(super) fn prepare(pins: &Pins, epoch: Epoch) -> Result<(), DatapathError> {
    let pin = pins.epoch_of(&HOMES, epoch.number);
    if pin.check()?.is_some() {
        return Ok(());
    }
    let failed = |action| DatapathError::map(names::HOMES, action);
    let mut created =
        Array::<MapData, u64>::create(epoch.capacity, HOMES.flags()).map_err(failed("create"))?;
    if let Some(before) = pins.latest(&HOMES)? {
        for slot in 0..before.entries {
            let home = before.words.get(slot as usize).unwrap_or(0);
            created.set(slot, home, 0).map_err(failed("fill"))?;
        }
    }
    pin.pin(|path| created.pin(path))
}

/// Forgets where the peers of these slots are at home.
pub(super) fn clear(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    let Some(homes) = pins.latest(&HOMES)? else { return Ok(()) };
    slots.iter().for_each(|&slot| homes.words.clear(slot as usize));
    Ok(())
}

/// Where these peers are at home; nothing without a mesh.
pub(super) fn read(
    pins: &Pins,
    slots: &BTreeMap<PublicKey, u32>,
) -> Result<BTreeMap<PublicKey, Home>, DatapathError> {
    let Some(homes) = pins.latest(&HOMES)? else { return Ok(BTreeMap::new()) };
    let home = |slot: u32| homes.words.get(slot as usize).map_or(Home::UNKNOWN, Home::from_word);
    Ok(slots.iter().map(|(key, slot)| (*key, home(*slot))).collect())
}

/// Sets where peers are at home, by slot.
pub(super) fn write(
    pins: &Pins,
    homes: impl IntoIterator<Item = (u32, Home)>,
) -> Result<(), DatapathError> {
    let Some(map) = pins.latest(&HOMES)? else { return Ok(()) };
    homes.into_iter().for_each(|(slot, home)| map.words.set(slot as usize, home.word()));
    Ok(())
}
