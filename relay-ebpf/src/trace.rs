//! A log line for every packet, through aya-log. A constant guards it, so that the verifier removes
//! it from a generation that does not trace.

use aya_log_ebpf::info;
use relay_common::{header::Headers, names::TRACE};

use crate::packet::Packet;

/// Outcomes of packets that pass; other outcomes are indices of reasons.
pub const RELAYED: i32 = -2;
pub const PASSED: i32 = -1;

/// Logs a packet from a peer, if the generation traces: addresses, protocol, length and the number of
/// the outcome.
#[inline(always)]
pub fn outcome(packet: &Packet<'_>, features: u32, outcome: i32) {
    if features & TRACE != 0 {
        line(packet, outcome);
    }
}

#[inline(never)]
fn line(packet: &Packet<'_>, outcome: i32) {
    let ctx = packet.context();
    match packet.headers() {
        Ok(Headers::V4(h)) => {
            let (from, to) = (h.source(), h.destination());
            info!(ctx, "{:i} {:i} {} {} {}", from, to, h.protocol(), packet.len(), outcome);
        }
        Ok(Headers::V6(h)) => {
            let (from, to) = (octets(h.source()), octets(h.destination()));
            info!(ctx, "{:i} {:i} {} {} {}", from, to, h.next_header(), packet.len(), outcome);
        }
        Err(_) => info!(ctx, "? ? 0 {} {}", packet.len(), outcome),
    }
}

#[inline(always)]
fn octets([high, low]: [u64; 2]) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}
