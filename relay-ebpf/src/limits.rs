//! Rates and quotas of peers: the fast path for a limited pair whose lists hold each other, and what
//! the slow path asks. All decisions are those of [`relay_common::meter`].

use core::cell::Cell;

use relay_common::{
    Leaf,
    limits::{Limits, TIME_BITS},
    meter::{self, Meter, Meters, Moment},
};

use crate::{clock, count, home, maps, packet::Packet, seen::code, tables, tried};

/// The slot of whoever is no peer.
pub const NO_PEER: u32 = relay_common::counters::UNATTRIBUTED_SLOT;

/// Charges and counts a packet between two peers that [`crate::direct`] is about to relay.
#[inline(always)]
pub fn account<const ROLE: u32, const MESHED: bool>(
    packet: &Packet<'_>,
    source: &Leaf,
    destination: &Leaf,
) -> Option<()> {
    let (from, to, bytes) = (source.slot().into(), destination.slot().into(), packet.len().into());
    if from == to {
        return None;
    }
    let slots = home::routed::<MESHED>(packet, source.slot(), destination.slot())?;
    if pass(from, to, bytes) == 0 {
        return None;
    }
    tried::counted::<ROLE>(packet, slots)
}

/// 1 if a packet between two slots passes their limits, which it is charged to; 0 leaves it to
/// [`check`].
#[inline(never)]
pub fn pass(source: u64, destination: u64, bytes: u64) -> u64 {
    let now = clock::recent_ns() << TIME_BITS;
    meter::pass(&Kernel, [source, destination], bytes, now, clock::recent_day).is_some().into()
}

/// [`code`] of whether a packet passes the limits of its sender and its receiver, of which one may be
/// [`NO_PEER`].
#[inline(never)]
pub fn check(source: u32, destination: u32, bytes: u64) -> u32 {
    code(meter::check(&Kernel, slots(source, destination), bytes, now()))
}

/// Charges a packet that passes.
#[inline(never)]
pub fn charge(source: u32, destination: u32, bytes: u64) -> bool {
    meter::charge(&Kernel, slots(source, destination), bytes, now()).is_some()
}

/// VERIFIER: widened where it is used, each slot would be compared with the end of the table in one
/// register and index it from another.
#[inline(always)]
fn slots(source: u32, destination: u32) -> [u64; 2] {
    [tables::opaque(source.into()), tables::opaque(destination.into())]
}

#[inline(always)]
fn now() -> Moment {
    Moment::new(clock::boot_ns(), clock::day())
}

/// The tables and maps.
struct Kernel;

impl Meters for Kernel {
    #[inline(always)]
    fn have_limits(&self, slots: [u64; 2]) -> bool {
        tables::have_limits(slots)
    }

    #[inline(always)]
    fn limits(&self, slot: u64) -> &Limits {
        tables::limits(slot)
    }

    #[inline(always)]
    fn meter(&self, slot: u64) -> Option<&Meter> {
        maps::meter(slot)
    }

    #[inline(always)]
    fn add(&self, word: &Cell<u64>, by: u64) {
        // SAFETY: a word of a map value.
        unsafe { count::add(word.as_ptr(), by) };
    }
}
