//! Counters by slot, in maps that outlive generations.
//!
//! When the slots outgrow the maps, larger ones are added as the next epoch, and the programs count
//! there. What is shown is the sum over the epochs, so that growing copies nothing and loses nothing.

use std::collections::BTreeMap;

use aya::maps::MapData;
use relay_common::{
    PeerCounters, Reason,
    counters::{DROPPED_STRIDE, UNATTRIBUTED_SLOT},
    dropped_index, names,
};

use super::{
    DatapathError,
    attach::Counting,
    clock::boot_ticks,
    held,
    pinned::{COUNTERS, DROPPED, Mapped, Pins, Words},
};
use crate::model::PublicKey;

/// Smallest number of slots that maps are created for.
const MIN_CAPACITY: u32 = 256;

/// Words of a [`PeerCounters`].
const WORDS: usize = size_of::<PeerCounters>() / size_of::<u64>();

/// Dropped packets by [`Reason::index`].
pub type DroppedCounts = [u64; Reason::COUNT];

/// Counts since the peers were first configured: traffic and dropped packets, by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(Vec<(PeerCounters, DroppedCounts)>);

impl Counters {
    /// Those of a slot.
    pub fn of(&self, slot: u32) -> (PeerCounters, DroppedCounts) {
        let none = (PeerCounters::default(), [0; Reason::COUNT]);
        self.0.get(slot as usize).copied().unwrap_or(none)
    }

    /// Dropped packets whose source belongs to no peer.
    pub fn unattributed(&self) -> DroppedCounts {
        self.of(UNATTRIBUTED_SLOT).1
    }
}

/// One pair of maps. When the slots outgrow it, the next epoch is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Number, from 0.
    pub number: u32,
    /// Number of slots.
    pub capacity: u32,
}

/// Whether the counts of the attached programs will outlive them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Their maps are pinned, or no program of ours is attached.
    Pinned,
    /// A pin is missing, or of another map.
    Lost {
        /// Epoch of the missing pin.
        epoch: u32,
        /// Maps that they count in.
        counting: Counting,
    },
    /// Other maps of the same shape are pinned, in which the next generation counts.
    Elsewhere,
}

/// Slots that new maps are created for: twice as many as needed.
pub(super) fn capacity_for(slots: u32) -> u32 {
    slots.saturating_mul(2).next_power_of_two().max(MIN_CAPACITY)
}

/// The epoch with room for `slots`: the last one, or a new one.
pub(super) fn ensure(pins: &Pins, slots: u32) -> Result<Epoch, DatapathError> {
    let next = |number| Epoch { number, capacity: capacity_for(slots) };
    match epochs(pins)?.last() {
        None => Ok(next(0)),
        Some(last) if last.epoch.capacity >= slots => Ok(last.epoch),
        Some(last) => Ok(next(last.epoch.number + 1)),
    }
}

/// Compares the maps that our attached programs count in with the pinned ones.
///
/// # Errors
/// A pinned map has another shape, and no map of an attached program can replace it.
pub(super) fn observe(pins: &Pins, counting: &[Counting]) -> Result<Keeping, DatapathError> {
    let numbers = pins.epochs()?;
    let pinned: Vec<_> = numbers
        .iter()
        .map(|&number| {
            let id = |map| pins.epoch_of(map, number).id();
            (number, id(&COUNTERS), id(&DROPPED))
        })
        .collect();
    for &counting in counting {
        let (counters, dropped) = (Some(counting.counters), Some(counting.dropped));
        let of = |both: bool| {
            pinned.iter().find(|(_, c, d)| match both {
                true => *c == counters && *d == dropped,
                false => *c == counters || *d == dropped,
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

/// Pins what programs count in, in place of whatever is pinned there.
pub(super) fn keep(pins: &Pins, epoch: u32, counting: Counting) -> Result<(), DatapathError> {
    pins.epoch_of(&COUNTERS, epoch).replace(counting.counters)?;
    pins.epoch_of(&DROPPED, epoch).replace(counting.dropped)
}

/// Sets the counters of slots to zero.
pub(super) fn clear(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    let epochs = epochs(pins)?;
    for &slot in slots {
        for Open { counters, dropped, .. } in &epochs {
            let first = slot as usize * WORDS;
            let words = first..first + WORDS;
            counters.iter().for_each(|map| words.clone().for_each(|word| map.words.clear(word)));
            let first = slot as usize * DROPPED_STRIDE as usize;
            let words = first..first + Reason::COUNT;
            dropped.iter().for_each(|map| words.clone().for_each(|word| map.words.clear(word)));
        }
    }
    Ok(())
}

/// Sums the counters over all epochs, up to the highest of these slots.
pub(super) fn read(
    pins: &Pins,
    slots: &BTreeMap<PublicKey, u32>,
) -> Result<Counters, DatapathError> {
    let last = slots.values().copied().max().unwrap_or(UNATTRIBUTED_SLOT);
    let epochs = epochs(pins)?;
    let counters = epochs.iter().filter_map(|epoch| Some(&epoch.counters.as_ref()?.words));
    let drops = epochs.iter().filter_map(|epoch| Some(&epoch.dropped.as_ref()?.words));
    let places = held::open(pins)?;
    let now = boot_ticks();
    let overdue = || places.as_ref().map(|places| held::overdue(places, now)).unwrap_or_default();
    let mut waiting = overdue();
    loop {
        let of = |slot| {
            let mut dropped = dropped(drops.clone(), slot);
            let reason = Reason::NoFirstFragment.index() as usize;
            dropped[reason] += waiting.get(&slot).copied().unwrap_or(0);
            (traffic(counters.clone(), slot), dropped)
        };
        let counted = (UNATTRIBUTED_SLOT..=last).map(of).collect();
        // A program may have counted some of them meanwhile.
        let still = overdue();
        if still == waiting {
            return Ok(Counters(counted));
        }
        waiting = still;
    }
}

/// Traffic of a slot in one map.
pub(super) fn traffic_of(map: &MapData, slot: u32) -> Result<PeerCounters, DatapathError> {
    let words = (slot as usize + 1) * WORDS;
    Ok(traffic([&Mapped::new(names::COUNTERS, map, words)?], slot))
}

/// Dropped packets of a slot in one map.
pub(super) fn dropped_of(map: &MapData, slot: u32) -> Result<DroppedCounts, DatapathError> {
    let words = (slot as usize + 1) * DROPPED_STRIDE as usize;
    Ok(dropped([&Mapped::new(names::DROPPED, map, words)?], slot))
}

fn traffic<'a>(maps: impl IntoIterator<Item = &'a Mapped<u64>> + Clone, slot: u32) -> PeerCounters {
    let words: [u64; WORDS] = std::array::from_fn(|word| {
        let index = slot as usize * WORDS + word;
        maps.clone().into_iter().filter_map(|map| map.get(index)).sum()
    });
    bytemuck::cast(words)
}

fn dropped<'a>(
    maps: impl IntoIterator<Item = &'a Mapped<u64>> + Clone,
    slot: u32,
) -> DroppedCounts {
    let mut counts = [0; Reason::COUNT];
    for (count, &reason) in counts.iter_mut().zip(Reason::ALL) {
        let index = dropped_index(slot, reason) as usize;
        *count = maps.clone().into_iter().filter_map(|map| map.get(index)).sum();
    }
    counts
}

/// A pinned epoch, of which one map may be lost.
struct Open {
    epoch: Epoch,
    counters: Option<Words>,
    dropped: Option<Words>,
}

fn epochs(pins: &Pins) -> Result<Vec<Open>, DatapathError> {
    pins.epochs()?.into_iter().map(|number| open(pins, number)).collect()
}

fn open(pins: &Pins, number: u32) -> Result<Open, DatapathError> {
    let counters = pins.epoch_of(&COUNTERS, number).words()?;
    let dropped = pins.epoch_of(&DROPPED, number).words()?;
    let capacity = match (&counters, &dropped) {
        (Some(counters), _) => counters.entries,
        (None, Some(dropped)) => dropped.entries / DROPPED_STRIDE,
        (None, None) => 0,
    };
    Ok(Open { epoch: Epoch { number, capacity }, counters, dropped })
}
