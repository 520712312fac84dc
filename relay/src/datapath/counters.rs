//! Counters by slot, in maps that outlive generations.
//!
//! When peers outgrow the maps, larger ones are added as the next epoch and the programs count
//! there; what was counted is the sum over the epochs, so that growing copies nothing and loses
//! nothing.

use std::{collections::BTreeMap, path::Path};

use aya::maps::{MapData, MapInfo};
use relay_common::{
    PeerCounters, Reason,
    counters::{REFUSED_STRIDE, UNATTRIBUTED_SLOT},
    names, refused_index,
};

use super::{DatapathError, Pins, mapped::Mapped, slots};
use crate::model::PublicKey;

/// Fewest slots a map is made for.
const MIN_CAPACITY: u32 = 256;

/// Words of a [`PeerCounters`].
const WORDS: usize = size_of::<PeerCounters>() / size_of::<u64>();

/// Refused packets by [`Reason::index`].
pub type RefusedCounts = [u64; Reason::COUNT];

/// What was counted since the peers were first configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Traffic and refused packets of each peer.
    pub peers: BTreeMap<PublicKey, (PeerCounters, RefusedCounts)>,
    /// Refused packets whose source belongs to no peer.
    pub unattributed: RefusedCounts,
}

/// Slots that a new pair of maps is made for: room to double before the next.
pub(super) fn capacity_for(slots: u32) -> u32 {
    slots.saturating_mul(2).next_power_of_two().max(MIN_CAPACITY)
}

/// The epoch that has room for `slots`: the last one, or the one after it.
pub(super) fn ensure(pins: &Pins, slots: u32) -> Result<u32, DatapathError> {
    let epochs = epochs(pins)?;
    match epochs.last() {
        None => Ok(0),
        Some(last) if last.capacity >= slots => Ok(last.number),
        Some(last) => Ok(last.number + 1),
    }
}

/// Sets the counters of slots to zero.
pub(super) fn clear(
    pins: &Pins,
    slots: impl IntoIterator<Item = u32>,
) -> Result<(), DatapathError> {
    let epochs = epochs(pins)?;
    for slot in slots {
        for epoch in &epochs {
            let first = slot as usize * WORDS;
            (first..first + WORDS).for_each(|word| epoch.counters.clear(word));
            let first = slot as usize * REFUSED_STRIDE as usize;
            (first..first + Reason::COUNT).for_each(|word| epoch.refused.clear(word));
        }
    }
    Ok(())
}

pub(super) fn read(pins: &Pins) -> Result<Counters, DatapathError> {
    let epochs = epochs(pins)?;
    let traffic = |slot| traffic(epochs.iter().map(|epoch| &epoch.counters), slot);
    let refused = |slot| refused(epochs.iter().map(|epoch| &epoch.refused), slot);
    let slots = slots::read(pins)?;
    let peers = slots.into_iter().map(|(key, slot)| (key, (traffic(slot), refused(slot))));
    Ok(Counters { peers: peers.collect(), unattributed: refused(UNATTRIBUTED_SLOT) })
}

/// Traffic of a slot in one map of counters.
pub(super) fn traffic_of(map: &MapData, slot: u32) -> Result<PeerCounters, DatapathError> {
    let words = (slot as usize + 1) * WORDS;
    Ok(traffic([&Mapped::new(names::COUNTERS, map, words)?], slot))
}

/// Refused packets of a slot in one map of counters.
pub(super) fn refused_of(map: &MapData, slot: u32) -> Result<RefusedCounts, DatapathError> {
    let words = (slot as usize + 1) * REFUSED_STRIDE as usize;
    Ok(refused([&Mapped::new(names::REFUSED, map, words)?], slot))
}

fn traffic<'a>(maps: impl IntoIterator<Item = &'a Mapped<u64>> + Clone, slot: u32) -> PeerCounters {
    let words: [u64; WORDS] = std::array::from_fn(|word| {
        let index = slot as usize * WORDS + word;
        maps.clone().into_iter().filter_map(|map| map.get(index)).sum()
    });
    bytemuck::cast(words)
}

fn refused<'a>(
    maps: impl IntoIterator<Item = &'a Mapped<u64>> + Clone,
    slot: u32,
) -> RefusedCounts {
    let mut counts = [0; Reason::COUNT];
    for (count, &reason) in counts.iter_mut().zip(Reason::ALL) {
        let index = refused_index(slot, reason) as usize;
        *count = maps.clone().into_iter().filter_map(|map| map.get(index)).sum();
    }
    counts
}

struct Epoch {
    number: u32,
    capacity: u32,
    counters: Mapped<u64>,
    refused: Mapped<u64>,
}

/// Every epoch that is pinned, after a check of its maps: aya uses a pinned map as it is.
fn epochs(pins: &Pins) -> Result<Vec<Epoch>, DatapathError> {
    let mut epochs = Vec::new();
    for number in 0.. {
        if !pins.counters(number).exists() || !pins.refused(number).exists() {
            break;
        }
        let value_size = size_of::<PeerCounters>();
        let (counters, capacity) = open(names::COUNTERS, &pins.counters(number), value_size)?;
        let (refused, words) = open(names::REFUSED, &pins.refused(number), size_of::<u64>())?;
        if words != capacity * REFUSED_STRIDE as usize {
            return Err(DatapathError::Incompatible {
                path: pins.refused(number),
                found: format!("{words} values"),
                expected: format!("{REFUSED_STRIDE} for each of {capacity} slots"),
            });
        }
        epochs.push(Epoch {
            number,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            counters,
            refused,
        });
    }
    Ok(epochs)
}

/// Opens a pinned array of `value_size` bytes an element; gives it as words, and its length.
fn open(
    name: &'static str,
    path: &Path,
    value_size: usize,
) -> Result<(Mapped<u64>, usize), DatapathError> {
    let failed = || DatapathError::map(name, "open");
    let info = MapInfo::from_pin(path).map_err(failed())?;
    let shape = |kind: &str, key: u32, value: u32| {
        format!("{kind} with keys of {key} and values of {value} bytes")
    };
    let found = shape(
        &format!("{:?}", info.map_type().map_err(failed())?),
        info.key_size(),
        info.value_size(),
    );
    let expected = shape("Array", 4, u32::try_from(value_size).unwrap_or(u32::MAX));
    if found != expected {
        return Err(DatapathError::Incompatible { path: path.to_owned(), found, expected });
    }
    let len = info.max_entries() as usize;
    let map = MapData::from_pin(path).map_err(failed())?;
    Ok((Mapped::new(name, &map, len * (value_size / size_of::<u64>()))?, len))
}
