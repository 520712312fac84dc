//! Counters by slot, in maps that outlive generations.
//!
//! When peers outgrow the maps, larger ones are added as the next epoch and the programs count
//! there; what was counted is the sum over the epochs, so that growing copies nothing and loses
//! nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aya::maps::{MapData, MapInfo};
use relay_common::{
    PeerCounters, Reason,
    counters::{REFUSED_STRIDE, UNATTRIBUTED_SLOT},
    names, refused_index,
};

use super::{DatapathError, Pins, held::Counting, mapped::Mapped, shape::Shape, slots};
use crate::model::PublicKey;

/// Fewest slots a map is made for.
const MIN_CAPACITY: u32 = 256;

/// Words of a [`PeerCounters`].
const WORDS: usize = size_of::<PeerCounters>() / size_of::<u64>();

pub(super) const COUNTERS_SHAPE: Shape = Shape::mapped_array(64);
const REFUSED_SHAPE: Shape = Shape::mapped_array(8);

const _: () = assert!(size_of::<PeerCounters>() == COUNTERS_SHAPE.value_size as usize);
const _: () = assert!(size_of::<u64>() == REFUSED_SHAPE.value_size as usize);

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

/// A pair of maps of counters; when peers outgrow it, the next is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Counts up from 0.
    pub number: u32,
    /// Slots it has room for.
    pub capacity: u32,
}

/// Whether what the attached programs count will outlive them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// What they count in is pinned, or no program of ours is attached.
    Pinned,
    /// A pin is gone, or is of another map.
    Lost {
        /// Where it was pinned.
        epoch: u32,
        /// What they count in.
        counting: Counting,
    },
    /// Other maps are pinned that serve as well: the next generation counts there.
    Elsewhere,
}

/// The shape of the refused packets that are pinned beside counters of the same epoch.
pub(super) fn refused_shape(path: &Path) -> Shape {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let traffic = path.with_file_name(name.replace("refused_", "counters_"));
    MapInfo::from_pin(traffic).map_or(REFUSED_SHAPE, |traffic| refused_beside(&traffic))
}

/// Whether a pair of maps is laid out as in this version.
pub(super) fn are_laid_out_so(traffic: &MapInfo, refused: &MapInfo) -> bool {
    COUNTERS_SHAPE.is_of(traffic) && refused_beside(traffic).is_of(refused)
}

fn refused_beside(traffic: &MapInfo) -> Shape {
    REFUSED_SHAPE.of(traffic.max_entries().saturating_mul(REFUSED_STRIDE))
}

/// Slots that a new pair of maps is made for: room to double before the next.
pub(super) fn capacity_for(slots: u32) -> u32 {
    slots.saturating_mul(2).next_power_of_two().max(MIN_CAPACITY)
}

/// The epoch that has room for `slots`: the last one, or the one after it. A map of it that is
/// lost, or was never made, is made as large as the other.
pub(super) fn ensure(pins: &Pins, slots: u32) -> Result<Epoch, DatapathError> {
    let next = |number| Epoch { number, capacity: capacity_for(slots) };
    match epochs(pins)?.last() {
        None => Ok(next(0)),
        Some(last) if last.epoch.capacity >= slots => Ok(last.epoch),
        Some(last) => Ok(next(last.epoch.number + 1)),
    }
}

/// Compares what our attached programs count in with what is pinned.
///
/// # Errors
/// What is pinned is of another shape, and nothing that is attached can take its place.
pub(super) fn observe(pins: &Pins, counting: &[Counting]) -> Result<Keeping, DatapathError> {
    let numbers = pins.epochs()?;
    let id = |path: &Path| MapInfo::from_pin(path).ok().map(|info| info.id());
    let pinned: Vec<_> = numbers
        .iter()
        .map(|&number| (number, id(&pins.counters(number)), id(&pins.refused(number))))
        .collect();
    for &counting in counting {
        let (counters, refused) = (Some(counting.counters), Some(counting.refused));
        let of = |both: bool| {
            pinned.iter().find(|(_, c, r)| match both {
                true => *c == counters && *r == refused,
                false => *c == counters || *r == refused,
            })
        };
        if of(true).is_some() {
            continue;
        }
        let epoch = match (of(false), numbers.last()) {
            (Some(&(number, ..)), _) => number,
            (None, None) => 0,
            (None, Some(&last)) if open(pins, last).is_err() => last,
            (None, Some(_)) => return Ok(Keeping::Elsewhere),
        };
        return Ok(Keeping::Lost { epoch, counting });
    }
    epochs(pins)?;
    Ok(Keeping::Pinned)
}

/// Pins what programs count in, in the place of whatever is pinned there.
pub(super) fn keep(pins: &Pins, epoch: u32, counting: Counting) -> Result<(), DatapathError> {
    for (name, id, path) in [
        (names::COUNTERS, counting.counters, pins.counters(epoch)),
        (names::REFUSED, counting.refused, pins.refused(epoch)),
    ] {
        let map = MapData::from_id(id).map_err(DatapathError::map(name, "open"))?;
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source| DatapathError::Pin { path, action, source }
        };
        // In one step, so that a crash leaves the old pin or the new one.
        let mut beside = path.clone().into_os_string();
        beside.push("_new");
        let beside = PathBuf::from(beside);
        if beside.exists() {
            fs::remove_file(&beside).map_err(failed(&beside, "remove"))?;
        }
        map.pin(&beside).map_err(|source| DatapathError::Pinning {
            path: beside.clone(),
            source: Box::new(source),
        })?;
        fs::rename(&beside, &path).map_err(failed(&path, "replace"))?;
    }
    Ok(())
}

/// Sets the counters of slots to zero.
pub(super) fn clear(
    pins: &Pins,
    slots: impl IntoIterator<Item = u32>,
) -> Result<(), DatapathError> {
    let epochs = epochs(pins)?;
    for slot in slots {
        for Open { counters, refused, .. } in &epochs {
            let first = slot as usize * WORDS;
            counters.iter().for_each(|map| (first..first + WORDS).for_each(|word| map.clear(word)));
            let first = slot as usize * REFUSED_STRIDE as usize;
            let words = first..first + Reason::COUNT;
            refused.iter().for_each(|map| words.clone().for_each(|word| map.clear(word)));
        }
    }
    Ok(())
}

pub(super) fn read(pins: &Pins) -> Result<Counters, DatapathError> {
    let epochs = epochs(pins)?;
    let traffic = |slot| traffic(epochs.iter().filter_map(|epoch| epoch.counters.as_ref()), slot);
    let refused = |slot| refused(epochs.iter().filter_map(|epoch| epoch.refused.as_ref()), slot);
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

/// An epoch as it is pinned; a map of it may be lost.
struct Open {
    epoch: Epoch,
    counters: Option<Mapped<u64>>,
    refused: Option<Mapped<u64>>,
}

/// Every epoch that is pinned, after a check of its maps: aya uses a pinned map as it is.
fn epochs(pins: &Pins) -> Result<Vec<Open>, DatapathError> {
    pins.epochs()?.into_iter().map(|number| open(pins, number)).collect()
}

fn open(pins: &Pins, number: u32) -> Result<Open, DatapathError> {
    let counters = open_map(names::COUNTERS, &pins.counters(number), COUNTERS_SHAPE)?;
    let refused = open_map(names::REFUSED, &pins.refused(number), REFUSED_SHAPE)?;
    let capacity = match (&counters, &refused) {
        (Some((_, capacity)), Some((_, entries))) if *entries != capacity * REFUSED_STRIDE => {
            return Err(DatapathError::Incompatible {
                path: pins.refused(number),
                found: format!("{entries} values"),
                expected: format!("{REFUSED_STRIDE} for each of {capacity} slots"),
            });
        }
        (Some((_, capacity)), _) => *capacity,
        (None, Some((_, entries))) => entries / REFUSED_STRIDE,
        (None, None) => 0,
    };
    Ok(Open {
        epoch: Epoch { number, capacity },
        counters: counters.map(|(map, _)| map),
        refused: refused.map(|(map, _)| map),
    })
}

/// Opens a pinned array as words, and gives the number of its entries.
fn open_map(
    name: &'static str,
    path: &Path,
    shape: Shape,
) -> Result<Option<(Mapped<u64>, u32)>, DatapathError> {
    if !path.exists() {
        return Ok(None);
    }
    let entries = shape.require(name, path)?.max_entries();
    let map = MapData::from_pin(path).map_err(DatapathError::map(name, "open"))?;
    let words = entries as usize * (shape.value_size as usize / size_of::<u64>());
    Ok(Some((Mapped::new(name, &map, words)?, entries)))
}
