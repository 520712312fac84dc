//! Fragments that wait for the first one of their datagram.
//!
//! The programs count one that has waited too long as dropped when another takes its place. Until
//! then it counts here.

use std::{collections::BTreeMap, mem::offset_of};

use relay_common::held::{CLAIMED, EMPTY, Held, PATIENCE};

use super::{
    DatapathError,
    pinned::{HELD, Pins, Words},
};

/// Words of a place.
const PLACE: usize = size_of::<Held>() / size_of::<u64>();
/// The word of a place that begins with the slot.
const SLOT: usize = offset_of!(Held, slot) / size_of::<u64>();

const _: () = assert!(offset_of!(Held, since) == 0);
const _: () = assert!(offset_of!(Held, slot).is_multiple_of(size_of::<u64>()));

/// The places for fragments; `None` if they are not pinned.
pub(super) fn open(pins: &Pins) -> Result<Option<Words>, DatapathError> {
    pins.map(&HELD).words()
}

/// How many fragments of each slot have waited too long at a time, in ticks.
///
/// For one time, later calls find fewer, never more.
pub(super) fn overdue(places: &Words, now: u32) -> BTreeMap<u32, u64> {
    count_overdue(waiting(places.entries, |index| places.words.get(index)), now)
}

/// Empties the places of these slots, which are about to belong to other peers.
pub(super) fn forget(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    if slots.is_empty() {
        return Ok(());
    }
    let Some(Words { words, entries }) = open(pins)? else { return Ok(()) };
    for Waiting { index, since, slot } in waiting(entries, |index| words.get(index)) {
        if slots.contains(&slot) {
            words.replace(index, since, EMPTY);
        }
    }
    Ok(())
}

/// A fragment that waits.
struct Waiting {
    /// Index of the word that tells since when.
    index: usize,
    /// Since when, in ticks.
    since: u64,
    /// Slot of its sender.
    slot: u32,
}

fn waiting(places: u32, word: impl Fn(usize) -> Option<u64>) -> impl Iterator<Item = Waiting> {
    (0..places as usize).filter_map(move |place| {
        let index = place * PLACE;
        let since = word(index).filter(|&since| since != EMPTY && since != CLAIMED)?;
        let [a, b, c, d, ..] = word(index + SLOT)?.to_ne_bytes();
        Some(Waiting { index, since, slot: u32::from_ne_bytes([a, b, c, d]) })
    })
}

fn count_overdue(waiting: impl Iterator<Item = Waiting>, now: u32) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for Waiting { since, slot, .. } in waiting {
        if u64::from(now) > since + u64::from(PATIENCE) {
            *counts.entry(slot).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_waited_too_long_are_counted_by_slot() {
        let mut words = vec![0; 5 * PLACE];
        for (place, since, slot) in [(0, 100, 7), (1, 131, 7), (2, CLAIMED, 7), (4, 99, 9)] {
            words[place * PLACE] = since;
            let slot: [u32; 2] = [slot, 48];
            words[place * PLACE + SLOT] = bytemuck::cast(slot);
        }
        let at = |now| count_overdue(waiting(5, |index| words.get(index).copied()), now);
        assert_eq!(at(100 + PATIENCE), BTreeMap::from([(9, 1)]));
        assert_eq!(at(101 + PATIENCE), BTreeMap::from([(7, 1), (9, 1)]));
        assert_eq!(at(132 + PATIENCE), BTreeMap::from([(7, 2), (9, 1)]));
    }
}
