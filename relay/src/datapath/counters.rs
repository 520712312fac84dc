//! Counters by slot, in maps that outlive generations.
//!
//! When the slots outgrow the maps, larger ones are added as the next epoch, and the programs count
//! there. What is shown is the sum over the epochs, so that growing copies nothing and loses nothing.
//!
//! Processors that count in the same words wait for each other. So where there are several, traffic is
//! counted by groups of them, as many as a budget of memory allows, and summed when it is read.

use std::{collections::BTreeMap, ops::Range};

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
    pinned::{COUNTERS, DROPPED, Mapped, Pins, SPREAD, Words, rows_per_processor},
};
use crate::model::PublicKey;

/// Smallest number of slots that maps are created for.
const MIN_CAPACITY: u32 = 256;

/// Most memory of an epoch for traffic by groups of processors, bytes: with 100 000 peers two groups,
/// with 10 000 sixteen.
const SPREAD_LEN: usize = 16 << 20;

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

/// The maps of some slots. When the slots outgrow them, the next epoch is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Number, from 0.
    pub number: u32,
    /// Number of slots.
    pub capacity: u32,
    /// Number of groups of processors that count apart, a power of two; 1 if all count in one map.
    pub groups: u32,
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

/// Slots that new maps are created for: a power of two with room for an eighth more than needed.
pub(super) fn capacity_for(slots: u32) -> u32 {
    slots.saturating_add(slots / 8).next_power_of_two().max(MIN_CAPACITY)
}

impl Epoch {
    /// Of new maps with room for `slots`.
    ///
    /// # Errors
    /// The number of processors cannot be read.
    pub(super) fn with_room(number: u32, slots: u32) -> Result<Self, DatapathError> {
        let capacity = capacity_for(slots);
        Ok(Self { number, capacity, groups: groups(capacity, rows_per_processor()?) })
    }

    /// The same, in which all processors count in one map.
    pub(super) fn of_one_group(slots: u32) -> Self {
        Self { number: 0, capacity: capacity_for(slots), groups: 1 }
    }
}

/// Into how many groups so many processors are divided for so many slots.
fn groups(capacity: u32, processors: u32) -> u32 {
    let affordable = SPREAD_LEN / size_of::<PeerCounters>() / capacity.max(1) as usize;
    let affordable = u32::try_from(affordable).unwrap_or(u32::MAX).max(1);
    if capacity.is_power_of_two() {
        processors.next_power_of_two().min(1 << affordable.ilog2())
    } else {
        1
    }
}

/// The epoch with room for `slots`: the last one, or a new one.
pub(super) fn ensure(pins: &Pins, slots: u32) -> Result<Epoch, DatapathError> {
    match epochs(pins)?.pop() {
        None => Epoch::with_room(0, slots),
        Some(Open { epoch, spread, .. }) if epoch.capacity >= slots => Ok(match spread {
            Some(_) => epoch,
            None => Epoch { groups: groups(epoch.capacity, rows_per_processor()?), ..epoch },
        }),
        Some(last) => Epoch::with_room(last.epoch.number + 1, slots),
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
            (number, id(&COUNTERS), id(&SPREAD), id(&DROPPED))
        })
        .collect();
    for &counting in counting {
        let (counters, dropped) = (Some(counting.counters), Some(counting.dropped));
        let is_spread = |spread: Option<u32>| counting.spread.is_none_or(|it| Some(it) == spread);
        let of = |all: bool| {
            pinned.iter().find(|(_, c, s, d)| match all {
                true => *c == counters && is_spread(*s) && *d == dropped,
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
    if let Some(spread) = counting.spread {
        pins.epoch_of(&SPREAD, epoch).replace(spread)?;
    }
    pins.epoch_of(&DROPPED, epoch).replace(counting.dropped)
}

/// Sets the counters of slots to zero.
pub(super) fn clear(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    let epochs = epochs(pins)?;
    for &slot in slots {
        for row in epochs.iter().flat_map(Open::rows) {
            row.words(slot).into_iter().flatten().for_each(|word| row.map.clear(word));
        }
        for Open { dropped, .. } in &epochs {
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
    let rows: Vec<_> = epochs.iter().flat_map(Open::rows).collect();
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
            (traffic(&rows, slot), dropped)
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

/// Traffic of a slot in the maps of a generation that counts in this epoch.
pub(super) fn traffic_of(
    (counters, spread): (&MapData, &MapData),
    epoch: Epoch,
    slot: u32,
) -> Result<PeerCounters, DatapathError> {
    let words = |name, map: &MapData, groups: u32| -> Result<Words, DatapathError> {
        let entries = epoch.capacity * groups;
        Ok(Words { words: Mapped::new(name, map, entries as usize * WORDS)?, entries })
    };
    let counters = Some(words(names::COUNTERS, counters, 1)?);
    let spread = match epoch.groups {
        1 => None,
        groups => Some(words(names::SPREAD, spread, groups)?),
    };
    let open = Open { epoch, counters, spread, dropped: None };
    Ok(traffic(&open.rows().collect::<Vec<_>>(), slot))
}

/// Dropped packets of a slot in one map.
pub(super) fn dropped_of(map: &MapData, slot: u32) -> Result<DroppedCounts, DatapathError> {
    let words = (slot as usize + 1) * DROPPED_STRIDE as usize;
    Ok(dropped([&Mapped::new(names::DROPPED, map, words)?], slot))
}

fn traffic(rows: &[Row<'_>], slot: u32) -> PeerCounters {
    let mut sums = [0; WORDS];
    for row in rows {
        for (sum, word) in sums.iter_mut().zip(row.words(slot).into_iter().flatten()) {
            *sum += row.map.get(word).unwrap_or(0);
        }
    }
    bytemuck::cast(sums)
}

/// The traffic of all slots of an epoch, of one group of processors or of all.
struct Row<'a> {
    map: &'a Mapped<u64>,
    /// Index of its first slot in the map.
    first: u32,
    capacity: u32,
}

impl Row<'_> {
    /// The words of a slot, if the row has it.
    fn words(&self, slot: u32) -> Option<Range<usize>> {
        let first = (self.first + slot) as usize * WORDS;
        (slot < self.capacity).then_some(first..first + WORDS)
    }
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

/// A pinned epoch, of which maps may be lost.
struct Open {
    epoch: Epoch,
    counters: Option<Words>,
    spread: Option<Words>,
    dropped: Option<Words>,
}

impl Open {
    /// Where traffic is counted, or was.
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let Epoch { capacity, groups, .. } = self.epoch;
        let of_group = move |map, group| Row { map, first: group * capacity, capacity };
        let counters = self.counters.iter().map(move |counters| of_group(&counters.words, 0));
        let spread = self
            .spread
            .iter()
            .flat_map(move |spread| (0..groups).map(move |group| of_group(&spread.words, group)));
        counters.chain(spread)
    }
}

fn epochs(pins: &Pins) -> Result<Vec<Open>, DatapathError> {
    pins.epochs()?.into_iter().map(|number| open(pins, number)).collect()
}

fn open(pins: &Pins, number: u32) -> Result<Open, DatapathError> {
    let counters = pins.epoch_of(&COUNTERS, number).words()?;
    let spread = pins.epoch_of(&SPREAD, number).words()?;
    let dropped = pins.epoch_of(&DROPPED, number).words()?;
    let capacity = match (&counters, &dropped) {
        (Some(counters), _) => counters.entries,
        (None, Some(dropped)) => dropped.entries / DROPPED_STRIDE,
        (None, None) => 0,
    };
    let groups = spread.as_ref().map_or(1, |spread| (spread.entries / capacity.max(1)).max(1));
    Ok(Open { epoch: Epoch { number, capacity, groups }, counters, spread, dropped })
}

#[cfg(test)]
mod tests {
    use relay_common::counters::spread_index;

    use super::*;
    use crate::datapath::pinned::MAX_PEERS;

    #[test]
    fn groups_are_as_many_as_processors_and_the_budget_allow() {
        for (slots, processors, expected) in [
            (4, 1, 1),
            (4, 2, 2),
            (4, 6, 8),
            (4, 64, 64),
            (1_000, 64, 64),
            (10_000, 64, 16),
            (100_000, 2, 2),
            (100_000, 64, 2),
            (MAX_PEERS, 64, 1),
        ] {
            let capacity = capacity_for(slots);
            let found = groups(capacity, processors);
            assert_eq!(found, expected, "{slots} slots, {processors} processors");
            let len = capacity as usize * size_of::<PeerCounters>() * found as usize;
            assert!(found == 1 || len <= SPREAD_LEN, "{len} bytes");
        }
        assert_eq!(groups(300, 64), 1, "of a map that is no power of two");
    }

    #[test]
    fn a_slot_has_a_place_in_each_group_and_shares_none() {
        let (last_group, slot_bits) = (3, 8);
        let mut places: Vec<u32> = (0..8)
            .flat_map(|processor| {
                (0..256).map(move |slot| spread_index(slot, processor, last_group, slot_bits))
            })
            .collect();
        places.sort_unstable();
        let twice: Vec<u32> = (0..4 * 256).flat_map(|place| [place, place]).collect();
        assert_eq!(places, twice);
    }
}
