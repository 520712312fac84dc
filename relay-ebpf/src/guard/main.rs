//! The program on the underlay interfaces: `relay_guard` drops WireGuard messages to the relay's
//! port that are malformed, forged, or over the limit of their source. The decisions are in
//! `relay_common::guard`.
//!
//! Kernel 6.1 or newer, native or generic XDP.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod blake2s;
mod count;
mod flow;
mod frame;
mod glance;
mod handshake;
mod judge;
mod maps;
mod network;
mod settings;
mod word;

use crate::{frame::Frame, glance::Glance};
use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    macros::xdp,
    programs::XdpContext,
};

/// Decides about a frame from the underlay.
#[xdp(frags)]
pub fn relay_guard(ctx: XdpContext) -> u32 {
    match glance::at(&Frame::new(&ctx)) {
        Glance::Data => count::data_and_pass(),
        Glance::Foreign => count::nothing_and_pass(),
        Glance::Unclear => judged(XdpContext::new(ctx.ctx)),
    }
}

/// Decides about what [`glance`] leaves. A function of its own, so that its registers and stack cost
/// a data message nothing.
#[inline(never)]
fn judged(ctx: XdpContext) -> u32 {
    let Some(outcome) = judge::message(&Frame::new(&ctx)) else { return XDP_PASS };
    count::one(outcome);
    if outcome.drops() { XDP_DROP } else { XDP_PASS }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
