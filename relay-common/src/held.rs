//! Fragments of datagrams between peers with rules that arrived before the first one, which alone
//! tells whether they may pass. They wait in a small memory until it has passed.

use core::cell::Cell;

use crate::{
    branchless::lesser,
    flow::{Key, ticks_of},
};

/// Sets of places; the fragments of one peer are in one set.
pub const SETS: u32 = 1 << 6;
/// Places of a set.
pub const PLACES: u32 = 1 << 4;
/// Longest fragment that is held, bytes.
pub const MAX_LEN: u32 = 1 << 11;

/// How long a fragment waits, ticks of [`crate::flow`]: as Linux waits for the rest of a datagram
/// (`IP_FRAG_TIME`, include/net/ip.h, 6.12).
pub const PATIENCE: u32 = ticks_of(30);

/// A place for a fragment.
#[derive(Debug)]
#[repr(C)]
pub struct Held {
    /// When it was held, ticks; [`EMPTY`] for none, [`CLAIMED`] while it is written or sent.
    pub since: Cell<u64>,
    /// The key of its datagram.
    pub datagram: Cell<Key>,
    /// Slot of its sender.
    pub slot: Cell<u32>,
    /// Its length, bytes.
    pub len: Cell<u32>,
    /// Where its data belong in the datagram, bytes.
    pub offset: Cell<u32>,
    /// Zero.
    pub reserved: Cell<u32>,
    /// The packet, from its IP header on.
    pub bytes: Cell<[u8; MAX_LEN as usize]>,
}

/// An empty place.
pub const EMPTY: u64 = 0;
/// A place that is being written or sent.
pub const CLAIMED: u64 = u32::MAX as u64;

/// Index of the first place of a peer's set.
#[inline(always)]
pub const fn first_place(slot: u32) -> u32 {
    (slot % SETS) * PLACES
}

/// The place of a set to hold the next fragment in: an empty one, or else that of the fragment that
/// waits longest. `since` tells since when the fragment of a place waits, in ticks.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below PLACES")]
pub fn next_place(since: impl Fn(u32) -> u64, opaque: impl Fn(u64) -> u64) -> u32 {
    let bits = PLACES.ilog2();
    let mut longest = (CLAIMED << bits) | u64::from(PLACES - 1);
    for place in 0..PLACES {
        longest = lesser((opaque(since(place)) << bits) | u64::from(place), longest, &opaque);
    }
    (opaque(longest) % u64::from(PLACES)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(places: &[u64]) -> u32 {
        next_place(|place| places[place as usize], |number| number)
    }

    #[test]
    fn an_empty_place_is_next_or_else_the_one_held_longest() {
        let mut places = [100; PLACES as usize];
        places[9] = EMPTY;
        assert_eq!(next(&places), 9);
        places[9] = 99;
        assert_eq!(next(&places), 9);
        places[9] = CLAIMED;
        assert_eq!(next(&places), 0);
        places[0] = CLAIMED;
        assert_eq!(next(&places), 1);
    }

    #[test]
    fn claimed_places_are_never_taken() {
        // Whoever claims one finds it claimed.
        let places = [CLAIMED; PLACES as usize];
        assert!(next(&places) < PLACES);
    }

    #[test]
    fn peers_with_neighbouring_slots_have_sets_of_their_own() {
        assert_eq!((first_place(0), first_place(1)), (0, PLACES));
        assert_eq!(first_place(SETS + 1), PLACES);
    }
}
