//! The relay's own ICMP errors, built in place of the packets that they answer.
//!
//! Their source is an address that the peer's own cryptokey routing accepts: that of the relay if the
//! peer lists it, otherwise the one that the peer sent to.

use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::TcContext};
use relay_common::{
    Leaf,
    cell::Lists,
    header::Headers,
    icmp::{Answer, ERRORS, MAX_QUOTE, error_v4, error_v6, may_answer},
    leaf::Owner,
};

use crate::{
    maps,
    packet::{Packet, QuoteBuffer},
    policy, settings, tables,
};

/// Turns a dropped packet into the error for its sender. `false` if none is sent; the packet must be
/// dropped then. A GSO aggregate is not answered, since the kernel would complete its checksum inside
/// the quote; its retransmission is a single packet and is answered.
#[inline(never)]
pub fn answer(ctx: TcContext, answer: Answer) -> bool {
    let packet = Packet::new(&ctx);
    if packet.is_aggregate() {
        return false;
    }
    let Ok(headers) = packet.headers() else { return false };
    let (source, _) = policy::leaves(&headers);
    let Owner::Peer(slot) = source.owner() else { return false };
    if !may_answer(&headers, &packet) || !is_due(slot) {
        return false;
    }
    let mut buffer: QuoteBuffer = [0; MAX_QUOTE as usize / 4];
    let Ok(quoted) = packet.quote(&mut buffer) else { return false };
    let mtu = settings::mtu();
    let replaced = match &headers {
        Headers::V4(dropped) => {
            let own = settings::relay_v4();
            let lists_own = own != 0 && lists(&source, &policy::leaf_v4(own));
            let from = if lists_own { own } else { dropped.destination() };
            packet.replace(&error_v4(answer, from, dropped, mtu, quoted), &buffer, quoted)
        }
        Headers::V6(dropped) => {
            let own = [settings::relay_v6_high(), settings::relay_v6_low()];
            let lists_own = own != [0, 0] && lists(&source, &policy::leaf_v6(own));
            let from = if lists_own { own } else { dropped.destination() };
            packet.replace(&error_v6(answer, from, dropped, mtu, quoted), &buffer, quoted)
        }
    };
    replaced.is_ok()
}

/// Takes a token from the peer's bucket. Two processors may both take the last one.
#[inline(always)]
fn is_due(slot: u32) -> bool {
    let Some(bucket) = maps::errors(slot) else { return false };
    // SAFETY: the helper takes no arguments, and `bucket` points into a map value.
    unsafe {
        match ERRORS.taken(*bucket, bpf_ktime_get_ns()) {
            Some(taken) => {
                *bucket = taken;
                true
            }
            None => false,
        }
    }
}

#[inline(always)]
fn lists(source: &Leaf, own: &Leaf) -> bool {
    matches!(tables::cell(source, own).lists(source), Lists::Source | Lists::Both)
}
