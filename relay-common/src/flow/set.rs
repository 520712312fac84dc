use core::{
    cell::Cell,
    sync::atomic::{Ordering::AcqRel, compiler_fence},
};

use super::{Entry, Key, OWN_WAYS, REACH, SETS, State, WAYS};
use crate::branchless::{is_below, lesser};

/// A set of the table: places for flows, and the tag of what is in each.
#[derive(Debug, Default)]
#[repr(C)]
pub struct FlowSet {
    tags: [Cell<u64>; WAYS],
    entries: [Entry; WAYS],
}

/// Tag of an empty place.
const EMPTY: u64 = 0;
/// Tag of a place that is being filled.
const CLAIMED: u64 = 1;

/// Where a flow is: the number of its set, and its tag there.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "parts of the hash")]
pub const fn place(key: &Key, seed: u64, slot: u32) -> (u32, u64) {
    const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
    const CHOICES: u32 = SETS / REACH;
    let hash = key.hash(seed);
    let first = hash & (SETS - CHOICES) as u64;
    // Of each few sets one is the peer's, so that two peers share few of theirs. Both steps are
    // needed: a sum of what belongs to peer and set would let some pairs share nearly all.
    let owner = (slot as u64).wrapping_mul(ODD[0]);
    let own = (owner ^ first).wrapping_mul(ODD[1]) >> (u64::BITS - CHOICES.ilog2());
    // In a set that two peers share, neither finds a flow of the other's: an address may have been
    // that of another peer.
    ((first | own) as u32, (hash ^ owner) | 2)
}

/// A place for a new flow, and the tag of what is in it now.
///
/// VERIFIER: not an `Option`, whose content the compiler copies before it tests whether there is any.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// The way; [`NO_WAY`] if there is no place.
    pub way: u32,
    /// The tag.
    pub tag: u64,
}

/// Not a way.
const NO_WAY: u32 = u32::MAX;

/// Bits of the number of a way.
const WAY_BITS: u32 = WAYS.ilog2();
/// Above every way and expiry.
const NOTHING: u64 = 1 << 62;

/// [`NOTHING`] for 1, and 0 for 0.
///
/// VERIFIER: not a mask of ones, which it splits into two cases (maybe_fork_scalars(),
/// kernel/bpf/verifier.c, 6.18).
const fn nothing_if(is_hidden: u64) -> u64 {
    is_hidden << NOTHING.ilog2()
}

impl Room {
    const NONE: Self = Self { way: NO_WAY, tag: EMPTY };

    /// Whether there is a place.
    #[inline(always)]
    pub(super) const fn exists(&self) -> bool {
        self.way != NO_WAY
    }
}

impl FlowSet {
    /// The entry of a flow.
    #[inline(always)]
    pub fn find(&self, tag: u64, key: &Key) -> Option<(u32, &Entry)> {
        for (way, entry) in (0..).zip(&self.entries) {
            // The tag is read again behind the key: the place may have been taken meanwhile.
            if self.tag(way).get() == tag && entry.is(key) {
                compiler_fence(AcqRel);
                if self.tag(way).get() == tag {
                    return Some((way, entry));
                }
            }
        }
        None
    }

    /// The entry of a flow, if its tag is the first of its kind, as nearly always.
    ///
    /// It looks at one entry, so that the search is a comparison a way. The first way, in which most
    /// flows are, is a constant.
    #[inline(always)]
    pub(super) fn find_at_once(&self, tag: u64, key: &Key) -> Option<&Entry> {
        let [first, others @ ..] = &self.tags;
        if first.get() == tag {
            return self.entry_of(0, tag, key);
        }
        let way = others.iter().position(|one| one.get() == tag)?;
        self.entry_of(way + 1, tag, key)
    }

    #[inline(always)]
    fn entry_of(&self, way: usize, tag: u64, key: &Key) -> Option<&Entry> {
        let entry = &self.entries[way];
        // As above.
        if !entry.is(key) {
            return None;
        }
        compiler_fence(AcqRel);
        if self.tags[way].get() == tag { Some(entry) } else { None }
    }

    /// A place for a flow of this peer: an expired or empty one; else, of those that belong to the peer
    /// and are not open connections, the one that expires first.
    ///
    /// VERIFIER: without branches. With them it follows every combination of what the ways may be,
    /// and gives up after a million instructions. `opaque` returns its argument and keeps the compiler
    /// from putting branches back.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "below WAYS")]
    pub(super) fn room(&self, slot: u32, now: u32, opaque: impl Fn(u64) -> u64) -> Room {
        let (mut free, mut first) = (NOTHING, NOTHING);
        let mut own = 0;
        for (way, entry) in (0u64..).zip(&self.entries) {
            let expires = opaque(entry.expires().into());
            let is_live = is_below(now.into(), expires);
            let is_own = is_below(opaque((entry.slot() ^ slot).into()), 1) & is_live;
            own += is_own;
            free = lesser(free, way | nothing_if(is_live), &opaque);
            first = lesser(first, expires << WAY_BITS | way | nothing_if(is_own ^ 1), &opaque);
        }
        let latest = u64::from(now) + u64::from(State::LONGEST_TO_GIVE_WAY);
        let way = if own < OWN_WAYS.into() && free < NOTHING {
            free
        } else if first >> WAY_BITS <= latest {
            first
        } else {
            return Room::NONE;
        };
        let way = (opaque(way) % WAYS as u64) as u32;
        let tag = self.tag(way).get();
        if tag == CLAIMED { Room::NONE } else { Room { way, tag } }
    }

    /// The entry of a way.
    #[inline(always)]
    pub fn entry(&self, way: u32) -> &Entry {
        &self.entries[way as usize % WAYS]
    }

    /// The tag of a way.
    #[inline(always)]
    pub(super) fn tag(&self, way: u32) -> &Cell<u64> {
        &self.tags[way as usize % WAYS]
    }

    /// Marks a way as being filled, by an atomic replacement of its tag.
    #[inline(always)]
    pub(super) fn claim(
        &self,
        room: Room,
        replace: impl FnOnce(&Cell<u64>, u64, u64) -> bool,
    ) -> Option<&Entry> {
        replace(self.tag(room.way), room.tag, CLAIMED).then(|| self.entry(room.way))
    }

    /// Shows what a claimed way was filled with, unless it was emptied meanwhile. An atomic replacement
    /// of the tag is seen after the content on processors that reorder stores, too, such as arm64's:
    /// atomic operations of BPF that return a value are fully ordered.
    #[inline(always)]
    pub(super) fn publish(
        &self,
        room: Room,
        tag: u64,
        replace: impl FnOnce(&Cell<u64>, u64, u64) -> bool,
    ) {
        replace(self.tag(room.way), CLAIMED, tag);
    }

    /// Empties a way.
    #[inline(always)]
    pub(super) fn clear(&self, way: u32) {
        self.entry(way).set_expires(0);
        self.tag(way).set(EMPTY);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{collections::BTreeSet, vec::Vec};

    use super::*;
    use crate::{
        header::{Headers, Ipv4Header},
        transport::Ports,
    };

    /// The sets over which the flows of a peer are spread.
    fn reach(slot: u32) -> BTreeSet<u32> {
        let headers = Headers::V4(Ipv4Header::new([0x45, 0, 0, slot.to_be(), 1]));
        let port =
            |source| place(&Key::of(&headers, Ports { source, destination: 22 }, 6), 7, slot);
        (0..=u16::MAX).map(|source| port(source).0).collect()
    }

    #[test]
    fn a_flow_with_the_addresses_of_another_peer_is_another() {
        let headers = Headers::V4(Ipv4Header::new([0x45, 0, 0, 1, 2]));
        let key = Key::of(&headers, Ports { source: 40_000, destination: 22 }, 6);
        for seed in 0..10 {
            let tags: BTreeSet<_> = (1..10_000).map(|slot| place(&key, seed, slot).1).collect();
            assert_eq!(tags.len(), 9_999);
        }
    }

    #[test]
    fn no_two_peers_share_most_of_their_sets() {
        let reaches: Vec<_> = (1..100).map(reach).collect();
        for (at, one) in reaches.iter().enumerate() {
            assert_eq!(one.len(), REACH as usize);
            assert!(one.iter().all(|set| *set < SETS));
            for other in &reaches[..at] {
                let shared = one.intersection(other).count();
                assert!(shared < REACH as usize / 2, "{shared}");
            }
        }
    }
}
