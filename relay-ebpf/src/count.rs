//! Counters. Every packet is counted once, by what it was on the wire.

use core::{arch::asm, mem::offset_of};

use relay_common::{
    Leaf, PairCounters, PeerCounters, Reason,
    counters::{RuleCounters, pair_key},
    dropped_index,
    flow::Entry,
};

use crate::{clock, maps, packet::Packet};

/// Adds to a field of counters in one instruction.
macro_rules! add {
    ($counters:expr, $kind:ty, $field:ident, $by:expr) => {
        add_at::<{ offset_of!($kind, $field) }>(($counters as *const $kind).cast_mut().cast(), $by)
    };
}

/// Counts packets and bytes from one peer to another, by their slots.
#[inline(always)]
pub fn between(source: u32, destination: u32, (packets, bytes): (u64, u64)) -> Result<(), Reason> {
    let [from, to] = maps::counters([source, destination]);
    let (from, to) = (from.ok_or(Reason::Inconsistent)?, to.ok_or(Reason::Inconsistent)?);
    // SAFETY: both point into map values, which live as long as the program.
    unsafe {
        add!(from, PeerCounters, rx_packets, packets);
        add!(from, PeerCounters, rx_bytes, bytes);
        add!(to, PeerCounters, tx_packets, packets);
        add!(to, PeerCounters, tx_bytes, bytes);
    }
    Ok(())
}

/// Counts them for the pair of peers.
#[inline(always)]
pub fn pair(source: u32, destination: u32, (packets, bytes): (u64, u64)) {
    if let Some(counters) = maps::pair_counters(pair_key(source, destination)) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe {
            add!(counters, PairCounters, packets, packets);
            add!(counters, PairCounters, bytes, bytes);
        }
    }
}

/// Counts them for the rule that let them through, and for their flow.
#[inline(always)]
pub fn ruled(rule: u32, flow: Option<&Entry>, (packets, bytes): (u64, u64)) {
    if let Some(counters) = maps::rule_counters(rule) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe {
            add!(counters, RuleCounters, packets, packets);
            add!(counters, RuleCounters, bytes, bytes);
        }
    }
    if let Some(flow) = flow {
        let flow = core::ptr::from_ref(flow);
        // SAFETY: as above.
        unsafe {
            add!(flow, Entry, packets, packets);
            add!(flow, Entry, bytes, bytes);
        }
    }
}

/// Counts a flow that began by a rule.
#[inline(always)]
pub fn begun(rule: u32) {
    if let Some(counters) = maps::rule_counters(rule) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe { add!(counters, RuleCounters, flows, 1) }
    }
}

/// Notes that a rule lets a packet through now.
#[inline(always)]
pub fn used(rule: u32) {
    if let Some(counters) = maps::rule_counters(rule) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe { (*counters).last_ns = clock::recent_ns() };
    }
}

/// Counts packets and bytes from a peer to the host's stack.
#[inline(always)]
pub fn from_peer_to_host(source: u32, (packets, bytes): (u64, u64)) -> Result<(), Reason> {
    let [from] = maps::counters([source]);
    let from = from.ok_or(Reason::Inconsistent)?;
    // SAFETY: points into a map value, which lives as long as the program.
    unsafe {
        add!(from, PeerCounters, host_rx_packets, packets);
        add!(from, PeerCounters, host_rx_bytes, bytes);
    }
    Ok(())
}

/// Counts packets and bytes from the host's stack to a peer.
#[inline(always)]
pub fn from_host_to_peer(destination: &Leaf, (packets, bytes): (u64, u64)) -> Result<(), Reason> {
    let [to] = maps::counters([destination.counted_slot()]);
    let to = to.ok_or(Reason::Inconsistent)?;
    // SAFETY: points into a map value, which lives as long as the program.
    unsafe {
        add!(to, PeerCounters, host_tx_packets, packets);
        add!(to, PeerCounters, host_tx_bytes, bytes);
    }
    Ok(())
}

/// Counts a dropped packet, by slot of its sender and reason.
#[inline(always)]
pub fn dropped(packet: &Packet<'_>, source: u32, reason: Reason) {
    dropped_slot(source, reason, packet.segments().into());
}

/// Counts dropped packets of a slot.
#[inline(always)]
pub fn dropped_slot(slot: u32, reason: Reason, packets: u64) {
    if let Some(counter) = maps::dropped(dropped_index(slot, reason)) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe { add(counter, packets) }
    }
}

/// Increments a map value, and returns the new value.
///
/// # Safety
/// `counter` points to an aligned word of a map value.
#[inline(always)]
pub unsafe fn next(counter: *mut u64) -> u64 {
    let mut by = 1u64;
    // VERIFIER: as in `add`; BPF_ADD | BPF_FETCH, kernel 5.12.
    // SAFETY: guaranteed by the caller.
    unsafe {
        asm!("{by} = atomic_fetch_add((u64 *)({counter} + 0), {by})", counter = in(reg) counter, by = inout(reg) by);
    }
    by + 1
}

/// Adds to a map value.
///
/// # Safety
/// `counter` points to an aligned word of a map value.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, by: u64) {
    // SAFETY: guaranteed by the caller.
    unsafe { add_at::<0>(counter, by) }
}

/// Adds to the word this many bytes behind `base`.
///
/// # Safety
/// It is an aligned word of a map value.
#[inline(always)]
unsafe fn add_at<const OFFSET: usize>(base: *mut u64, by: u64) {
    // VERIFIER: the target has no compare-and-swap by default, so Rust lacks `AtomicU64::fetch_add`
    // on it; this is the instruction that it would compile to (BPF_XADD, every kernel).
    // SAFETY: guaranteed by the caller.
    unsafe {
        asm!(
            "lock *(u64 *)({base} + {offset}) += {by}",
            base = in(reg) base,
            offset = const OFFSET,
            by = in(reg) by,
        );
    }
}
