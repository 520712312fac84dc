//! Holds fragments that arrived before the first one of their datagram, and sends them behind it.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_clone_redirect, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use relay_common::{
    Reason,
    flow::{Flows as _, ticks},
    held::{CLAIMED, EMPTY, Held, MAX_LEN, PATIENCE, PLACES, first_place, next_place},
    names::{FAST_PATH, LIMITED, MESH, PAIR_STATS},
};

use crate::{
    count,
    flows::Kernel,
    limits, maps,
    packet::{Packet, bounded},
    router,
    seen::{Seen, Subject, code},
    settings::{self, has},
};

/// Holds a fragment that is dropped for want of the first one only. It counts when it is sent, or when
/// another one takes its place.
///
/// `false` if it cannot wait: without the fast path, which sends it, or if it is too long.
#[inline(never)]
pub fn hold(ctx: TcContext) -> bool {
    let packet = Packet::new(&ctx);
    let Some(seen) = maps::seen() else { return false };
    waits(&packet, seen) && hold_seen(&packet, seen).is_some()
}

/// Whether a packet that is dropped can wait for the first fragment of its datagram.
#[inline(always)]
pub fn waits(packet: &Packet<'_>, seen: &Seen) -> bool {
    seen.subject == Subject::Later
        && seen.verdict == code(Err(Reason::NoFirstFragment))
        && seen.leaving == code(Ok(()))
        && settings::features() & FAST_PATH != 0
        && !packet.is_probe()
        && !packet.is_aggregate()
        && packet.len() <= MAX_LEN
}

#[inline(always)]
fn hold_seen(packet: &Packet<'_>, seen: &Seen) -> Option<()> {
    let kernel = Kernel::new(false);
    let first = first_place(seen.packet.source);
    let since = |place| maps::held(first + place).map_or(CLAIMED, |held| held.since.get());
    let held = maps::held(first + next_place(since, |number| kernel.opaque(number)))?;
    let old = held.since.get();
    if old == CLAIMED || !kernel.replace(&held.since, old, CLAIMED) {
        return None;
    }
    if old != EMPTY {
        count::dropped_slot(held.slot.get(), Reason::NoFirstFragment, 1);
    }
    let len = bounded::<MAX_LEN>(packet.len());
    // SAFETY: `len` bytes fit the place, which this processor has claimed.
    let copied = unsafe {
        bpf_skb_load_bytes(packet.context().as_ptr(), 0, held.bytes.as_ptr().cast(), len)
    };
    if copied != 0 {
        held.since.set(EMPTY);
        return None;
    }
    held.datagram.set(seen.datagram);
    held.slot.set(seen.packet.source);
    held.len.set(len);
    held.offset.set(seen.offset);
    held.since.set(ticks(kernel.now_ns()).into());
    Some(())
}

/// Sends the first fragment of a datagram, which passes, and behind it those that are held for it.
/// `false` if there are none: nothing was sent then.
#[inline(never)]
pub fn release(ctx: TcContext) -> bool {
    let Some(seen) = maps::seen() else { return false };
    if seen.subject != Subject::First {
        return false;
    }
    let packet = Packet::new(&ctx);
    let kernel = Kernel::new(false);
    let now = u64::from(ticks(kernel.now_ns()));
    let first = first_place(seen.packet.source);
    let way = way_of(&packet);
    let mut is_sent = false;
    for place in 0..PLACES {
        let Some(held) = maps::held(first + place) else { continue };
        let since = held.since.get();
        if since == EMPTY || since == CLAIMED || held.datagram.get() != seen.datagram {
            continue;
        }
        if !kernel.replace(&held.since, since, CLAIMED) {
            continue;
        }
        if now - since > PATIENCE.into() {
            count::dropped_slot(held.slot.get(), Reason::NoFirstFragment, 1);
        } else if held.offset.get() < seen.offset {
            // It overlaps the transport header that was judged.
            count::dropped_slot(held.slot.get(), Reason::BadFragment, 1);
        } else {
            if !is_sent {
                send(&packet, way);
                is_sent = true;
            }
            if become_held(&packet, held).is_some() {
                count_released(seen, held.len.get());
                send(&packet, way);
            } else {
                count::dropped_slot(held.slot.get(), Reason::Inconsistent, 1);
            }
        }
        held.since.set(EMPTY);
    }
    is_sent
}

/// Where packets of its datagram leave.
#[inline(always)]
fn way_of(packet: &Packet<'_>) -> u32 {
    if !has(MESH) {
        return packet.interface();
    }
    packet.forget_transit();
    packet.way()
}

/// Sends a copy of the packet out of an interface. Never with `BPF_F_INGRESS`.
#[inline(always)]
fn send(packet: &Packet<'_>, interface: u32) {
    // SAFETY: the context is valid. A copy that the kernel cannot make is a lost packet.
    let _sent = unsafe { bpf_clone_redirect(packet.context().skb.skb, interface, 0) };
}

/// Makes the packet the held one, with one hop less.
#[inline(always)]
fn become_held(packet: &Packet<'_>, held: &Held) -> Option<()> {
    let len = bounded::<MAX_LEN>(held.len.get());
    let ctx = packet.context();
    // SAFETY: the place has `len` bytes.
    unsafe {
        if bpf_skb_change_tail(ctx.skb.skb, len, 0) != 0
            || bpf_skb_store_bytes(ctx.skb.skb, 0, held.bytes.as_ptr().cast(), len, 0) != 0
        {
            return None;
        }
    }
    let headers = packet.headers().ok()?;
    router::decrement_ttl(packet, &headers).ok()
}

#[inline(always)]
fn count_released(seen: &Seen, len: u32) {
    let (from, to) = (seen.packet.source, seen.packet.destination);
    let on_the_wire = (1, len.into());
    // The slots have counters: the first fragment was counted there.
    let [for_sender, for_receiver] = seen.counted;
    let _counted = count::between(for_sender, for_receiver, on_the_wire);
    if settings::features() & LIMITED != 0 {
        limits::charge(from, to, len.into());
    }
    count::ruled(seen.passed.rule, None, on_the_wire);
    if settings::features() & PAIR_STATS != 0 && for_sender == from {
        count::pair(from, to, on_the_wire);
    }
}
