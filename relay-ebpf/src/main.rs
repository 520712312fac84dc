//! The programs on the WireGuard interface: `relay_ingress` decides about what peers send,
//! `relay_egress` about what the host and other interfaces send to peers.
//!
//! The interface has no link-layer header: the IP header is at offset 0. Kernel 6.1 or newer.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod count;
mod host;
mod icmp;
mod maps;
mod packet;
mod settings;
mod trace;

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_SHOT},
    helpers::generated::bpf_redirect,
    macros::classifier,
    programs::TcContext,
};
use relay_common::{
    Leaf, Pair, Reason,
    header::{IPV4_LEN, IPV6_LEN},
    names::{EGRESS_STACK, FAST_PATH, MARK, TRACE},
    verdict::{self, Verdict},
};

use crate::packet::{Headers, Packet};

/// What becomes of a packet that is not refused.
enum Outcome {
    /// Out of the interface it came from, to the other peer.
    Redirected,
    /// Up into the host's stack: for the host itself, or to be forwarded by it.
    Passed,
}

/// Decides about a packet a peer sent.
#[classifier]
pub fn relay_ingress(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    // Once, so that each test of a feature is one instruction.
    let features = settings::features();
    let mut source = Leaf::NOBODY;
    let outcome = ingress(&packet, features, &mut source);
    if features & TRACE != 0 {
        trace::outcome(&packet, &outcome);
    }
    match outcome {
        Ok(Outcome::Redirected) => redirect_back(&packet),
        Ok(Outcome::Passed) => {
            ctx.set_mark(MARK);
            TC_ACT_OK
        }
        Err(reason) => {
            count::refused(&packet, &source, reason);
            if icmp::answer(&packet, &source, reason) {
                redirect_back(&packet)
            } else {
                TC_ACT_SHOT
            }
        }
    }
}

/// Decides about a packet on its way to a peer that `relay_ingress` has not already decided on.
#[classifier]
pub fn relay_egress(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    if packet.came_from_this_interface() {
        return TC_ACT_OK;
    }
    match egress(&packet) {
        Ok(()) => TC_ACT_OK,
        Err(reason) => {
            count::refused(&packet, &Leaf::NOBODY, reason);
            TC_ACT_SHOT
        }
    }
}

#[inline(always)]
fn ingress(packet: &Packet<'_>, features: u32, source: &mut Leaf) -> Result<Outcome, Reason> {
    let headers = packet.headers()?;
    let destination;
    match &headers {
        Headers::V4(header) => {
            header.check(packet.len())?;
            *source = maps::leaf_v4(header.source());
            destination = maps::leaf_v4(header.destination());
        }
        Headers::V6(header) => {
            header.check(packet.len())?;
            *source = maps::leaf_v6(header.source());
            destination = maps::leaf_v6(header.destination());
        }
    }
    let pair = maps::pair(source, &destination);
    if pair.is_mutual(source) && source.slot() != destination.slot() {
        return relay(packet, features, &headers, source, &destination);
    }
    otherwise(packet, features, &headers, source, &destination, pair)
}

/// What is not simply between two peers that list each other.
///
/// Both programs touch the generation map, so that they hold it and the loader finds by it which
/// policy is in force; here, and for what the host sends, it costs relayed packets nothing.
#[inline(always)]
fn otherwise(
    packet: &Packet<'_>,
    features: u32,
    headers: &Headers,
    source: &Leaf,
    destination: &Leaf,
    pair: Pair,
) -> Result<Outcome, Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    match verdict::decide(source, destination, pair, features & EGRESS_STACK != 0)? {
        Verdict::Relay => Err(Reason::Inconsistent),
        Verdict::ToHost => {
            if !host::may_reach(packet, headers) {
                return Err(Reason::HostAccess);
            }
            count::from_peer_to_host(packet, headers, source)?;
            Ok(Outcome::Passed)
        }
        Verdict::ToStack => {
            count::from_peer_to_host(packet, headers, source)?;
            Ok(Outcome::Passed)
        }
    }
}

/// The checks a router makes, the count, and the TTL. On the slow path the stack makes its own of
/// them, and takes the TTL down itself.
#[inline(always)]
fn relay(
    packet: &Packet<'_>,
    features: u32,
    headers: &Headers,
    source: &Leaf,
    destination: &Leaf,
) -> Result<Outcome, Reason> {
    if features & FAST_PATH == 0 {
        count::relayed(packet, headers, source, destination)?;
        return Ok(Outcome::Passed);
    }
    let (hops, may_fragment) = match headers {
        Headers::V4(header) => (header.ttl(), !header.dont_fragment()),
        Headers::V6(header) => (header.hop_limit(), false),
    };
    if hops <= 1 {
        return Err(Reason::TtlExceeded);
    }
    if packet.len() > settings::mtu() && !may_fragment && !packet.segments_fit(headers) {
        return Err(Reason::TooBig);
    }
    count::relayed(packet, headers, source, destination)?;
    match headers {
        Headers::V4(header) => packet.store_ttl_word(header.decremented())?,
        Headers::V6(_) => packet.store_hop_limit(hops - 1)?,
    }
    Ok(Outcome::Redirected)
}

#[inline(always)]
fn egress(packet: &Packet<'_>) -> Result<(), Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    let (source, destination) = match &headers {
        Headers::V4(header) => {
            (maps::leaf_v4(header.source()), maps::leaf_v4(header.destination()))
        }
        Headers::V6(header) => {
            (maps::leaf_v6(header.source()), maps::leaf_v6(header.destination()))
        }
    };
    if packet.came_from_an_interface() {
        let pair = maps::pair(&source, &destination);
        verdict::decide_inbound(
            &source,
            &destination,
            pair,
            settings::features() & EGRESS_STACK != 0,
        )?;
    }
    count::from_host_to_peer(packet, &headers, &destination)
}

/// Sends the packet out of the interface it came from. Never with `BPF_F_INGRESS`, which loops
/// in the kernel without end.
#[inline(always)]
fn redirect_back(packet: &Packet<'_>) -> i32 {
    // SAFETY: bpf_redirect takes two numbers and touches no memory of the program's.
    unsafe { bpf_redirect(packet.interface(), 0) as i32 }
}

const _: () = assert!(IPV4_LEN < IPV6_LEN);

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
