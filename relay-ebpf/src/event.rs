//! Records dropped packets, for `relay observe`.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use relay_common::{Reason, event};

use crate::{count, maps, packet::Packet};

/// Which way a packet goes, seen from the host.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Direction {
    /// From a peer.
    Ingress = 0,
    /// To a peer.
    Egress = 1,
}

/// Writes a dropped packet into the next place of the ring, over the oldest. Readers parse its
/// headers.
#[inline(always)]
pub fn write(packet: &Packet<'_>, slot: u32, reason: Reason, direction: Direction) {
    let Some(count) = maps::event_count() else { return };
    // SAFETY: points into a map value.
    let number = unsafe { count::next(count) };
    let Some(place) = maps::event(event::place(number)) else { return };
    // SAFETY: points into a map value, which lives as long as the program. The volatile stores of the
    // number stay before and behind the others, so that a reader recognises a half-written event.
    unsafe {
        (&raw mut (*place).number).write_volatile(0);
        (*place).time_ns = bpf_ktime_get_boot_ns();
        (*place).slot = slot;
        (*place).len = packet.len();
        (*place).reason = reason.index();
        (*place).is_egress = direction as u32;
        packet.copy_head(&raw mut (*place).head);
        (&raw mut (*place).number).write_volatile(number);
    }
}
