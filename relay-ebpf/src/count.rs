//! Every packet moves exactly one counter of its kind, exactly by what it was on the wire.

use core::arch::asm;

use relay_common::{Leaf, Reason, counters::pair_key, refused_index};

use crate::{
    maps,
    packet::{Packet, Transport},
};

/// Packets and bytes from one peer to another.
#[inline(always)]
pub fn relayed(
    source: &Leaf,
    destination: &Leaf,
    (packets, bytes): (u64, u64),
) -> Result<(), Reason> {
    let from = maps::counters(source.slot()).ok_or(Reason::Inconsistent)?;
    let to = maps::counters(destination.slot()).ok_or(Reason::Inconsistent)?;
    // SAFETY: both point into map values, which live as long as the program.
    unsafe {
        add(&raw mut (*from).rx_packets, packets);
        add(&raw mut (*from).rx_bytes, bytes);
        add(&raw mut (*to).tx_packets, packets);
        add(&raw mut (*to).tx_bytes, bytes);
    }
    Ok(())
}

/// The same for the pair.
#[inline(always)]
pub fn pair(source: &Leaf, destination: &Leaf, (packets, bytes): (u64, u64)) {
    if let Some(counters) = maps::pair_counters(pair_key(source.slot(), destination.slot())) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe {
            add(&raw mut (*counters).packets, packets);
            add(&raw mut (*counters).bytes, bytes);
        }
    }
}

/// Packets and bytes from a peer into the host's stack.
#[inline(always)]
pub fn from_peer_to_host(
    packet: &Packet<'_>,
    transport: &Transport,
    source: &Leaf,
) -> Result<(), Reason> {
    let from = maps::counters(source.slot()).ok_or(Reason::Inconsistent)?;
    let (packets, bytes) = packet.on_the_wire(transport);
    // SAFETY: points into a map value, which lives as long as the program.
    unsafe {
        add(&raw mut (*from).host_rx_packets, packets);
        add(&raw mut (*from).host_rx_bytes, bytes);
    }
    Ok(())
}

/// Packets and bytes from the host's stack to a peer.
#[inline(always)]
pub fn from_host_to_peer(
    packet: &Packet<'_>,
    transport: &Transport,
    destination: &Leaf,
) -> Result<(), Reason> {
    let to = maps::counters(destination.counted_slot()).ok_or(Reason::Inconsistent)?;
    let (packets, bytes) = packet.on_the_wire(transport);
    // SAFETY: points into a map value, which lives as long as the program.
    unsafe {
        add(&raw mut (*to).host_tx_packets, packets);
        add(&raw mut (*to).host_tx_bytes, bytes);
    }
    Ok(())
}

/// A refused packet, under its sender and reason. Bytes are not kept: they would say nothing
/// that the packets do not.
#[inline(always)]
pub fn refused(packet: &Packet<'_>, source: &Leaf, reason: Reason) {
    if let Some(counter) = maps::refused(refused_index(source.counted_slot(), reason)) {
        // SAFETY: points into a map value, which lives as long as the program.
        unsafe { add(counter, u64::from(packet.segments())) }
    }
}

/// Adds one to a map value, and gives what it is then.
///
/// # Safety
/// `counter` points to an aligned word of a map value.
#[inline(always)]
pub unsafe fn next(counter: *mut u64) -> u64 {
    let mut by = 1u64;
    // VERIFIER: as below; BPF_ADD | BPF_FETCH, kernel 5.12.
    // SAFETY: the caller's promise.
    unsafe {
        asm!("{by} = atomic_fetch_add((u64 *)({counter} + 0), {by})", counter = in(reg) counter, by = inout(reg) by);
    }
    by + 1
}

/// # Safety
/// `counter` points to an aligned word of a map value.
#[inline(always)]
unsafe fn add(counter: *mut u64, by: u64) {
    // VERIFIER: the target has no compare-and-swap by default, for which `AtomicU64::fetch_add`
    // is not offered; this is the one instruction it would become (BPF_XADD, every kernel).
    // SAFETY: the caller's promise.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {by}", counter = in(reg) counter, by = in(reg) by);
    }
}
