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

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_SHOT},
    helpers::generated::bpf_redirect,
    macros::classifier,
    programs::TcContext,
};
use relay_common::{
    Leaf, Pair, Reason,
    header::{IPV4_LEN, IPV6_LEN},
    names::{EGRESS_STACK, FAST_PATH, MARK},
    verdict::{self, Verdict},
};

use crate::packet::{Headers, Packet};

/// What becomes of a packet that is not refused.
enum Outcome {
    /// To the other peer.
    Relayed,
    /// Up into the host's stack.
    ToHost,
}

/// Decides about a packet a peer sent.
#[classifier]
pub fn relay_ingress(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    let mut source = Leaf::NOBODY;
    match ingress(&packet, &mut source) {
        Ok(Outcome::Relayed) if settings::has(FAST_PATH) => redirect_back(&packet),
        Ok(Outcome::Relayed | Outcome::ToHost) => {
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
fn ingress(packet: &Packet<'_>, source: &mut Leaf) -> Result<Outcome, Reason> {
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
        relay(packet, &headers, source, &destination)?;
        return Ok(Outcome::Relayed);
    }
    otherwise(packet, &headers, source, &destination, pair)
}

/// What is not simply between two peers that list each other.
///
/// Both programs touch the generation map, so that they hold it and the loader finds by it which
/// policy is in force; here, and for what the host sends, it costs relayed packets nothing.
#[inline(always)]
fn otherwise(
    packet: &Packet<'_>,
    headers: &Headers,
    source: &Leaf,
    destination: &Leaf,
    pair: Pair,
) -> Result<Outcome, Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    match verdict::decide(source, destination, pair, settings::has(EGRESS_STACK))? {
        Verdict::Relay => Err(Reason::Inconsistent),
        Verdict::ToHost => {
            if !host::may_reach(packet, headers) {
                return Err(Reason::HostAccess);
            }
            count::from_peer_to_host(packet, headers, source)?;
            Ok(Outcome::ToHost)
        }
        Verdict::ToStack => {
            count::from_peer_to_host(packet, headers, source)?;
            Ok(Outcome::ToHost)
        }
    }
}

/// The checks a router makes, the count, and the TTL. The stack makes its own of them on the
/// slow path, and takes the TTL down itself.
#[inline(always)]
fn relay(
    packet: &Packet<'_>,
    headers: &Headers,
    source: &Leaf,
    destination: &Leaf,
) -> Result<(), Reason> {
    if settings::has(FAST_PATH) {
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
    }
    count::relayed(packet, headers, source, destination)?;
    if settings::has(FAST_PATH) {
        match headers {
            Headers::V4(header) => packet.store_ttl_word(header.decremented()),
            Headers::V6(header) => packet.store_hop_limit(header.hop_limit() - 1),
        }
    } else {
        Ok(())
    }
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
        verdict::decide_inbound(&source, &destination, pair, settings::has(EGRESS_STACK))?;
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
