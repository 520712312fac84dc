use core::cell::Cell;

use bytemuck::{Pod, Zeroable};

use super::{Key, State};

/// A flow in the table. Its tag in the set tells whether it is there.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Entry {
    beginner: [Cell<u64>; 2],
    answerer: [Cell<u64>; 2],
    tail: Cell<u64>,
    expires: Cell<u32>,
    started: Cell<u32>,
    generation: Cell<u32>,
    slot: Cell<u32>,
    rule: Cell<u32>,
    state: Cell<u32>,
    /// Bytes in both directions, counted as in [`crate::PeerCounters`].
    pub bytes: Cell<u64>,
    /// Packets in both directions.
    pub packets: Cell<u64>,
}

/// An [`Entry`] as read from the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Record {
    /// Address of the beginner in host order: the halves of an IPv6 address, or zero and an IPv4
    /// address.
    pub beginner: [u64; 2],
    /// Address of the other side.
    pub answerer: [u64; 2],
    /// From the top: beginner's port, answerer's port (16 bits each), zeros, protocol, IP version (8
    /// bits each).
    pub tail: u64,
    /// When it expires, [`super::ticks`] of the boot clock.
    pub expires: u32,
    /// When it began.
    pub started: u32,
    /// The lower half of the number of the generation in which its beginning was judged.
    pub generation: u32,
    /// Slot of the beginner.
    pub slot: u32,
    /// Number of the rule that allows it.
    pub rule: u32,
    /// [`State::bits`].
    pub state: u32,
    /// Bytes in both directions.
    pub bytes: u64,
    /// Packets in both directions.
    pub packets: u64,
}

const _: () = assert!(size_of::<Entry>() == 80 && size_of::<Record>() == size_of::<Entry>());

impl Entry {
    /// Whether it has this key.
    #[inline(always)]
    pub(super) fn is(&self, key: &Key) -> bool {
        // Ports differ most often. An IPv4 key, which its tail tells, has zeros in the upper halves.
        self.tail.get() == key.tail
            && self.beginner[1].get() == key.beginner[1]
            && self.answerer[1].get() == key.answerer[1]
            && (key.is_v4()
                || (self.beginner[0].get() == key.beginner[0]
                    && self.answerer[0].get() == key.answerer[0]))
    }

    /// Fills a place that was claimed.
    #[inline(always)]
    pub(super) fn begin(&self, key: &Key, slot: u32, now: u32) {
        self.beginner[0].set(key.beginner[0]);
        self.beginner[1].set(key.beginner[1]);
        self.answerer[0].set(key.answerer[0]);
        self.answerer[1].set(key.answerer[1]);
        self.tail.set(key.tail);
        self.slot.set(slot);
        self.started.set(now);
        self.state.set(State::OPENING.bits());
        self.bytes.set(0);
        self.packets.set(0);
    }

    /// When it expires.
    #[inline(always)]
    pub(super) fn expires(&self) -> u32 {
        self.expires.get()
    }

    /// Sets when it expires. Writes only what changes: most packets then leave the line of memory
    /// alone.
    #[inline(always)]
    pub(super) fn set_expires(&self, expires: u32) {
        if self.expires() != expires {
            self.expires.set(expires);
        }
    }

    /// The same for a time in 64 bits.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a time in ticks")]
    pub(super) fn keep_until(&self, expires: u64) {
        if u64::from(self.expires()) != expires {
            self.expires.set(expires as u32);
        }
    }

    /// Slot of the beginner.
    #[inline(always)]
    pub(super) fn slot(&self) -> u32 {
        self.slot.get()
    }

    /// The rule that allows it.
    #[inline(always)]
    pub fn rule(&self) -> u32 {
        self.rule.get()
    }

    /// The generation in which it was judged.
    #[inline(always)]
    pub(super) fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Notes by which rule of which generation it is allowed.
    #[inline(always)]
    pub(super) fn allow(&self, rule: u32, generation: u32) {
        self.rule.set(rule);
        self.generation.set(generation);
    }

    /// Of the first fragment of a datagram: what it asked for or answered, and from which byte on
    /// later fragments may follow.
    #[inline(always)]
    pub(super) fn datagram(&self) -> (u32, u32) {
        (self.started.get(), self.state.get())
    }

    /// Sets that.
    #[inline(always)]
    pub(super) fn set_datagram(&self, service: u32, end: u32) {
        self.started.set(service);
        self.state.set(end);
    }

    /// Its state.
    #[inline(always)]
    pub(super) fn state(&self) -> State {
        State::from_bits(self.state.get())
    }

    /// Sets its state.
    #[inline(always)]
    pub(super) fn set_state(&self, state: State) {
        self.state.set(state.bits());
    }
}
