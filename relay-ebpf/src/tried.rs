//! What the candidate of a trial and the policy in force make of a packet, and what is counted where
//! they differ.

use aya_ebpf::programs::TcContext;
use relay_common::{
    flow, service,
    transport::Transport,
    trial::{self, DifferenceKey, RELAYED, Tried, UNDECIDED},
};

use crate::{again, clock, count, maps, packet::Packet, policy, usage};

/// Role of a program: it decides, and is alone.
pub const ALONE: u32 = 0;
/// It decides, and compares that with what the candidate would.
pub const COMPARING: u32 = 1;
/// It decides by the candidate, and does nothing.
pub const TRIAL: u32 = 2;
/// It decides, and counts what peers use.
pub const LEARNING: u32 = 3;

/// Whether a program with this role leaves what it decides until the end.
#[inline(always)]
pub const fn leaves(role: u32) -> bool {
    role == COMPARING || role == LEARNING
}

/// What a program does with what it has decided: what it has left, or else this.
#[inline(always)]
pub fn end<const ROLE: u32>(ctx: &TcContext, otherwise: u32) {
    match ROLE {
        COMPARING => compare(ctx, otherwise),
        LEARNING => usage::learn(ctx, otherwise),
        _ => {}
    }
}

/// Leaves what the candidate makes of a packet for [`compare`].
#[inline(always)]
pub fn leave(decision: u32) {
    if let Some(tried) = maps::tried() {
        tried.candidate = decision;
    }
}

/// Leaves what the policy in force makes of a packet for [`end`].
#[inline(always)]
pub fn decided(decision: u32) {
    if let Some(tried) = maps::tried() {
        tried.in_force = decision;
    }
}

/// Counts a packet that is relayed by lists, for these slots. Of a trial it is left for the program in
/// force instead.
#[inline(always)]
pub fn counted<const ROLE: u32>(packet: &Packet<'_>, [from, to]: [u32; 2]) -> Option<()> {
    if ROLE == TRIAL {
        leave(RELAYED);
        return Some(());
    }
    count::between(from, to, (1, packet.len().into())).ok()
}

/// Compares what is left of both policies, and counts a difference. Both are gone then, so that none is
/// taken for that of another packet.
#[inline(always)]
fn compare(ctx: &TcContext, otherwise: u32) {
    let Some(tried) = maps::tried() else { return };
    let mut found = *tried;
    *tried = Tried { candidate: UNDECIDED, in_force: UNDECIDED };
    if found.in_force == UNDECIDED {
        found.in_force = otherwise;
    }
    if found.candidate != found.in_force && trial::differs(found) {
        note(again(ctx), found.in_force, found.candidate);
    }
}

/// Counts a difference.
#[inline(never)]
fn note(ctx: TcContext, in_force: u32, candidate: u32) {
    let packet = Packet::new(&ctx);
    let Ok(headers) = packet.headers() else { return };
    let Ok(transport) = Transport::find(&headers, &packet) else { return };
    let (source, destination) = policy::leaves(&headers);
    let slots = [source.counted_slot(), destination.counted_slot()];
    let service = if transport.is_later_fragment {
        service::PROTOCOL + u32::from(transport.protocol)
    } else {
        let read = flow::Packet::read(&headers, &transport, &packet, slots);
        trial::service(&read, Tried { candidate, in_force })
    };
    let key = DifferenceKey {
        source: slots[0],
        destination: slots[1],
        service,
        in_force: trial::outcome(in_force) as u16,
        candidate: trial::outcome(candidate) as u16,
    };
    let now = clock::boot_ns();
    let (packets, bytes) = packet.on_the_wire(&transport);
    let known = maps::difference(&key);
    let Some(found) = known.or_else(|| maps::new_difference(&key, now)) else { return };
    // SAFETY: points into a map value, which lives as long as the program.
    unsafe {
        if known.is_none() {
            packet.copy_head(&raw mut (*found).head);
        }
        count::add(&raw mut (*found).packets, packets);
        count::add(&raw mut (*found).bytes, bytes);
        (*found).last_ns = now;
    }
}
