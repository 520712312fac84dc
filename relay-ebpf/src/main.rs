//! The programs on the WireGuard interface: `relay_ingress` decides about packets from peers,
//! `relay_egress` about packets from the host and from other interfaces to peers. While a candidate is
//! tried, `relay_trial` decides by it in front of `relay_compare`, which is `relay_ingress` that
//! compares. While use is learnt, `relay_learn` is in its place, which counts.
//!
//! The interface has no link-layer header: the IP header is at offset 0. Kernel 6.1 or newer.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod clock;
mod count;
mod direct;
mod egress;
mod event;
mod flows;
mod hold;
mod home;
mod host;
mod icmp;
mod ingress;
mod judged;
mod limits;
mod maps;
mod packet;
mod part;
mod policy;
mod quote;
mod router;
mod ruled;
mod seen;
mod settings;
mod steady;
mod tables;
mod trace;
mod tried;
mod usage;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::generated::bpf_redirect,
    macros::classifier,
    programs::TcContext,
};
use relay_common::{
    Reason, cell,
    counters::UNATTRIBUTED_SLOT,
    icmp::Answer,
    names::{LIMITED, MESH, PASSED, RULES},
    probe, trial,
    verdict::Verdict,
};

use crate::{
    direct::{Glance, Left},
    event::Direction,
    ingress::Outcome,
    packet::Packet,
    settings::has,
    tried::{ALONE, COMPARING, LEARNING, TRIAL},
};

/// Passes a packet on to the programs and filters behind ours, and then to the stack: TCX_NEXT for a
/// TCX program, "no decision" for a clsact filter.
const PASS: i32 = TC_ACT_UNSPEC;

/// Decides about a packet from a peer.
#[classifier]
pub fn relay_ingress(ctx: TcContext) -> i32 {
    decide::<ALONE>(ctx)
}

/// The same, and compares that with what `relay_trial` has left.
#[classifier]
pub fn relay_compare(ctx: TcContext) -> i32 {
    decide::<COMPARING>(ctx)
}

/// The same, and counts what peers use of each other.
#[classifier]
pub fn relay_learn(ctx: TcContext) -> i32 {
    decide::<LEARNING>(ctx)
}

/// Decides by a candidate about a packet from a peer, and leaves the packet as it is.
#[classifier]
pub fn relay_trial(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    if relay_fast::<TRIAL>(&ctx, &packet) != Fast::Left {
        return PASS;
    }
    if let Done::AskRules = from_peer::<TRIAL>(again(&ctx)) {
        tried::leave(ruled::try_out(&ctx));
    }
    PASS
}

/// Decides about a packet to a peer, unless `relay_ingress` has.
#[classifier]
pub fn relay_egress(ctx: TcContext) -> i32 {
    if Packet::new(&ctx).came_from_this_interface() {
        return PASS;
    }
    to_peer(ctx)
}

#[inline(always)]
fn decide<const ROLE: u32>(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match relay_fast::<ROLE>(&ctx, &packet) {
        Fast::Left => {}
        Fast::Relayed => {
            tried::end::<ROLE>(&ctx, trial::RELAYED);
            return redirect(packet.interface());
        }
        Fast::Routed => {
            tried::end::<ROLE>(&ctx, trial::RELAYED);
            return redirect_on(&packet);
        }
    }
    let done = match from_peer::<ROLE>(again(&ctx)) {
        Done::AskRules => ruled::decide::<ROLE>(&ctx),
        done => {
            tried::end::<ROLE>(&ctx, trial::UNDECIDED);
            done
        }
    };
    match done {
        Done::Redirect => redirect_on(&packet),
        Done::Pass => {
            ctx.set_mark(packet.mark() | PASSED);
            PASS
        }
        Done::Drop | Done::AskRules => TC_ACT_SHOT,
        Done::Answer(answer) => {
            if icmp::answer(again(&ctx), answer) {
                redirect_back(&packet)
            } else {
                TC_ACT_SHOT
            }
        }
    }
}

/// What the fast paths made of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fast {
    /// Nothing: it is unchanged.
    Left,
    /// It is ready for the redirect out of the interface that it came from.
    Relayed,
    /// It is ready for the redirect on its way through a mesh.
    Routed,
}

/// Calls the copy of a fast path of [`steady`] that a packet takes.
macro_rules! by_flow {
    ($relay:ident, $ctx:expr, $left:expr) => {{
        let Some(path) = Path::of($left.bits) else { return Fast::Left };
        let Left { source, destination, place, .. } = $left;
        match path {
            Path { is_limited: false, is_meshed: false } => {
                relayed(steady::$relay::<false, ROLE, false>(
                    again($ctx),
                    source,
                    destination,
                    place,
                ))
            }
            Path { is_limited: true, is_meshed: false } => {
                relayed(steady::$relay::<true, ROLE, false>(
                    again($ctx),
                    source,
                    destination,
                    place,
                ))
            }
            Path { is_limited: false, is_meshed: true } => {
                routed(steady::$relay::<false, ROLE, true>(again($ctx), source, destination, place))
            }
            Path { is_limited: true, is_meshed: true } => {
                routed(steady::$relay::<true, ROLE, true>(again($ctx), source, destination, place))
            }
        }
    }};
}

/// Prepares the packet for the redirect to the other peer by a fast path, or leaves it unchanged.
#[inline(always)]
fn relay_fast<const ROLE: u32>(ctx: &TcContext, packet: &Packet<'_>) -> Fast {
    match direct::relay::<ROLE>(packet) {
        Some(Glance::Relayed) => Fast::Relayed,
        Some(Glance::Routed) => Fast::Routed,
        Some(Glance::LeftV4(left)) => by_flow!(relay_v4, ctx, left),
        Some(Glance::LeftV6(left)) => by_flow!(relay_v6, ctx, left),
        None => Fast::Left,
    }
}

#[inline(always)]
fn relayed(by_a_flow: bool) -> Fast {
    if by_a_flow { Fast::Relayed } else { Fast::Left }
}

#[inline(always)]
fn routed(by_a_flow: bool) -> Fast {
    if by_a_flow { Fast::Routed } else { Fast::Left }
}

/// Which copy of [`steady`] a packet takes.
struct Path {
    is_limited: bool,
    is_meshed: bool,
}

impl Path {
    /// By the bits of the cell; `None` if rules decide nothing.
    #[inline(always)]
    fn of(bits: u64) -> Option<Self> {
        let (is_limited, needs) = if cell::is_ruled(bits) {
            (false, RULES)
        } else if cell::is_limited_ruled(bits) {
            (true, RULES | LIMITED)
        } else {
            return None;
        };
        let features = settings::features();
        match features & (needs | MESH) {
            found if found == needs => Some(Self { is_limited, is_meshed: false }),
            found if found == needs | MESH => Some(Self { is_limited, is_meshed: true }),
            _ => None,
        }
    }
}

/// What to do with a packet.
enum Done {
    /// Send it out of the interface that it came from.
    Redirect,
    /// Pass it up to the stack, with the mark that the fence requires.
    Pass,
    /// Drop it.
    Drop,
    /// Drop it and send an ICMP error to its sender.
    Answer(Answer),
    /// Nothing yet: [`ruled::decide`] decides.
    AskRules,
}

/// Decides about what [`direct`] leaves. A function of its own, so that its registers and stack cost
/// the fast path nothing, and are free again before an error is built. For a trial it leaves the
/// decision instead of carrying it out.
///
/// VERIFIER: in steps for the reason of [`ruled`].
#[inline(never)]
fn from_peer<const ROLE: u32>(ctx: TcContext) -> Done {
    // Another copy of this program has already decided.
    if Packet::new(&ctx).has_passed() {
        return Done::Pass;
    }
    if ingress::judge::<ROLE>(again(&ctx)) {
        return Done::AskRules;
    }
    ingress::check_error(again(&ctx));
    if has(LIMITED) {
        ingress::limit(again(&ctx));
    }
    finish_judged::<ROLE>(ctx)
}

/// Does what the verdict says.
#[inline(never)]
fn finish_judged<const ROLE: u32>(ctx: TcContext) -> Done {
    let packet = Packet::new(&ctx);
    // Read once, so that each test of a feature is one instruction.
    let features = settings::features();
    let Some(judged) = maps::judged() else { return Done::Drop };
    if judged.verdict == probe::encode(Err(Reason::WrongHome))
        && features & MESH != 0
        && home::relay_error(again(&ctx))
    {
        return Done::Redirect;
    }
    if packet.is_probe() {
        ctx.set_mark(judged.verdict);
        return Done::Drop;
    }
    if ROLE == TRIAL {
        if !probe::is_dropped(judged.verdict) {
            ingress::charge(features, judged);
        }
        tried::leave(judged.verdict);
        return Done::Drop;
    }
    let outcome = judged.decoded().and_then(|verdict| {
        let outcome = ingress::carry_out(&packet, features, judged, verdict)?;
        if tried::leaves(ROLE) {
            tried::decided(judged.verdict);
        }
        Ok(outcome)
    });
    finish::<ROLE>(&packet, features, judged.source, outcome)
}

/// What is left to do with a packet that was decided about. Counts it if it is dropped.
#[inline(always)]
fn finish<const ROLE: u32>(
    packet: &Packet<'_>,
    features: u32,
    source: u32,
    outcome: Result<Outcome, Reason>,
) -> Done {
    match outcome {
        Ok(Outcome::Redirected) => {
            trace::outcome(packet, features, trace::RELAYED);
            Done::Redirect
        }
        Ok(Outcome::Passed) => {
            trace::outcome(packet, features, trace::PASSED);
            Done::Pass
        }
        Err(reason) => {
            trace::outcome(packet, features, reason.index() as i32);
            count::dropped(packet, source, reason);
            event::write(packet, source, reason, Direction::Ingress);
            // Where peers are at home is no matter of policy.
            if tried::leaves(ROLE) && !matches!(reason, Reason::WrongHome | Reason::NotHere) {
                tried::decided(probe::encode(Err(reason)));
            }
            Answer::to(reason).map_or(Done::Drop, Done::Answer)
        }
    }
}

/// Returns the verdict on a probe in its mark.
#[inline(always)]
fn answer_probe(ctx: &TcContext, verdict: Result<Verdict, Reason>) -> Done {
    ctx.set_mark(probe::encode(verdict));
    Done::Drop
}

#[inline(never)]
fn to_peer(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match egress::decide(&packet) {
        Ok(()) => PASS,
        Err(reason) => {
            count::dropped(&packet, UNATTRIBUTED_SLOT, reason);
            event::write(&packet, UNATTRIBUTED_SLOT, reason, Direction::Egress);
            TC_ACT_SHOT
        }
    }
}

/// The same context, for a call.
#[inline(always)]
fn again(ctx: &TcContext) -> TcContext {
    TcContext::new(ctx.skb.skb)
}

/// Sends a packet between peers on its way.
#[inline(always)]
fn redirect_on(packet: &Packet<'_>) -> i32 {
    if !has(MESH) {
        return redirect(packet.interface());
    }
    packet.forget_transit();
    redirect(packet.way())
}

/// Sends the packet out of the interface that it came from.
#[inline(always)]
fn redirect_back(packet: &Packet<'_>) -> i32 {
    if has(MESH) {
        packet.set_way(packet.transit().unwrap_or(packet.interface()));
    }
    redirect_on(packet)
}

/// Sends the packet out of an interface. Never with `BPF_F_INGRESS`, which would loop in the kernel
/// without end.
#[inline(always)]
fn redirect(interface: u32) -> i32 {
    // SAFETY: bpf_redirect takes two numbers and no memory of the program.
    unsafe { bpf_redirect(interface, 0) as i32 }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
