//! The programs on the WireGuard interface: `relay_ingress` decides about what peers send,
//! `relay_egress` about what the host and other interfaces send to peers.
//!
//! The interface has no link-layer header: the IP header is at offset 0. Kernel 6.1 or newer.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod count;
mod direct;
mod egress;
mod event;
mod host;
mod icmp;
mod ingress;
mod maps;
mod packet;
mod policy;
mod settings;
mod tables;
mod trace;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::generated::bpf_redirect,
    macros::classifier,
    programs::TcContext,
};
use relay_common::{Leaf, counters::UNATTRIBUTED_SLOT, icmp::Answer, names::PASSED, question};

use crate::{event::Direction, ingress::Outcome, packet::Packet};

/// Lets a packet on to the programs and filters of others behind ours, and then into the stack:
/// TCX_NEXT of a TCX program, and "no decision" of a clsact filter.
const PASS: i32 = TC_ACT_UNSPEC;

/// Decides about a packet a peer sent.
#[classifier]
pub fn relay_ingress(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    if direct::relay(&packet).is_some() {
        return redirect_back(&packet);
    }
    match from_peer(again(&ctx)) {
        Done::Redirect => redirect_back(&packet),
        Done::Pass => {
            ctx.set_mark(packet.mark() | PASSED);
            PASS
        }
        Done::Drop => TC_ACT_SHOT,
        Done::Answer(answer) => {
            if icmp::answer(again(&ctx), answer) {
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
    if Packet::new(&ctx).came_from_this_interface() {
        return PASS;
    }
    to_peer(ctx)
}

/// What is to be done with a packet that is counted.
enum Done {
    /// Out of the interface it came from.
    Redirect,
    /// Up the stack, with the mark that the fence wants.
    Pass,
    /// Away.
    Drop,
    /// Away, and its sender is told.
    Answer(Answer),
}

/// What [`direct`] leaves. A function of its own, so that the registers and the stack it takes
/// cost a plain packet nothing, and are given back before an answer is made.
#[inline(never)]
fn from_peer(ctx: TcContext) -> Done {
    let packet = Packet::new(&ctx);
    // A copy of this program ran before and has decided.
    if packet.has_passed() {
        return Done::Pass;
    }
    // Once, so that each test of a feature is one instruction.
    let features = settings::features();
    let mut source = Leaf::NOBODY;
    let judged = ingress::judge(&packet, features, &mut source);
    if packet.is_question() {
        ctx.set_mark(question::encode(judged.map(|passing| passing.verdict)));
        return Done::Drop;
    }
    let outcome =
        judged.and_then(|passing| ingress::carry_out(&packet, features, &source, &passing));
    match outcome {
        Ok(Outcome::Redirected) => {
            trace::outcome(&packet, features, trace::RELAYED);
            Done::Redirect
        }
        Ok(Outcome::Passed) => {
            trace::outcome(&packet, features, trace::PASSED);
            Done::Pass
        }
        Err(reason) => {
            trace::outcome(&packet, features, reason.index() as i32);
            count::refused(&packet, &source, reason);
            event::write(&packet, source.counted_slot(), reason, Direction::Ingress);
            Answer::to(reason).map_or(Done::Drop, Done::Answer)
        }
    }
}

#[inline(never)]
fn to_peer(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match egress::decide(&packet) {
        Ok(()) => PASS,
        Err(reason) => {
            count::refused(&packet, &Leaf::NOBODY, reason);
            event::write(&packet, UNATTRIBUTED_SLOT, reason, Direction::Egress);
            TC_ACT_SHOT
        }
    }
}

/// The same packet for another function.
#[inline(always)]
fn again(ctx: &TcContext) -> TcContext {
    TcContext::new(ctx.skb.skb)
}

/// Sends the packet out of the interface it came from. Never with `BPF_F_INGRESS`, which loops
/// in the kernel without end.
#[inline(always)]
fn redirect_back(packet: &Packet<'_>) -> i32 {
    // SAFETY: bpf_redirect takes two numbers and touches no memory of the program's.
    unsafe { bpf_redirect(packet.interface(), 0) as i32 }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
