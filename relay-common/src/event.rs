//! The ring of dropped packets, which overwrites the oldest.

use bytemuck::{Pod, Zeroable};

/// Events in the ring.
pub const EVENTS_KEPT: u32 = 4096;

const _: () = assert!(EVENTS_KEPT.is_power_of_two());

/// Largest part of a dropped packet that is kept, bytes: both headers, and the ports behind them.
pub const HEAD_LEN: u32 = 64;

/// A dropped packet.
///
/// The writer takes the next number, sets `number` in its place to 0, fills the other fields, and
/// sets `number` last. A reader that finds the number it expects before and after reading the rest
/// has read one whole event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Event {
    /// Number of the event, from 1; 0 while it is being written.
    pub number: u64,
    /// Time, nanoseconds of the boot clock.
    pub time_ns: u64,
    /// Slot of the sender, or [`crate::counters::UNATTRIBUTED_SLOT`].
    pub slot: u32,
    /// Length of the packet, bytes.
    pub len: u32,
    /// [`crate::Reason::index`].
    pub reason: u32,
    /// 1 for a packet to a peer, 0 for one from a peer.
    pub is_egress: u32,
    /// The packet from its IP header on, zeros behind its end.
    pub head: [u8; HEAD_LEN as usize],
}

const _: () = assert!(size_of::<Event>() == 96);

/// Place of an event in the ring.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below EVENTS_KEPT")]
pub const fn place(number: u64) -> u32 {
    ((number - 1) % EVENTS_KEPT as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_and_wrap() {
        assert_eq!((place(1), place(2)), (0, 1));
        assert_eq!(place(u64::from(EVENTS_KEPT)), EVENTS_KEPT - 1);
        assert_eq!(place(u64::from(EVENTS_KEPT) + 1), 0);
    }
}
