//! Refused packets, written down one by one: a ring that forgets the oldest.

use bytemuck::{Pod, Zeroable};

/// How many are kept.
pub const EVENTS_KEPT: u32 = 4096;

const _: () = assert!(EVENTS_KEPT.is_power_of_two());

/// Most of a refused packet that is kept, bytes: both headers, and ports behind them.
pub const HEAD_LEN: u32 = 64;

/// What was refused, and the beginning of it.
///
/// The writer takes a number, sets it to 0 in the place of that number, fills the rest, and sets it
/// last; a reader that finds the number it expects before and after has not seen a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Event {
    /// How many events there were with this one; 0 while it is written.
    pub number: u64,
    /// When, nanoseconds of the boot clock.
    pub time_ns: u64,
    /// Counter index of the sender, or of nobody.
    pub slot: u32,
    /// Length of the packet, bytes.
    pub len: u32,
    /// [`crate::Reason::index`].
    pub reason: u32,
    /// 1 for a packet on its way to a peer, 0 for one that came from a peer.
    pub is_egress: u32,
    /// The packet from its IP header on, as much of it as there is.
    pub head: [u8; HEAD_LEN as usize],
}

const _: () = assert!(size_of::<Event>() == 96);

/// Place of an event in the ring. Numbers begin at 1.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below EVENTS_KEPT")]
pub const fn place(number: u64) -> u32 {
    ((number - 1) % EVENTS_KEPT as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_in_turn() {
        assert_eq!((place(1), place(2)), (0, 1));
        assert_eq!(place(u64::from(EVENTS_KEPT)), EVENTS_KEPT - 1);
        assert_eq!(place(u64::from(EVENTS_KEPT) + 1), 0);
    }
}
