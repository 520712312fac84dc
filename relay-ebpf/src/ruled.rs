//! The decision about packets between peers that rules let begin something with each other.
//! [`crate::steady`] is its fast path.
//!
//! It goes in steps, each a function of its own: read the packet, judge what was read, count it, and
//! finish the packet. Between them everything is in a map.
//!
//! VERIFIER: what a step finds in the map is unknown to it, and so one case. Handed over in
//! registers or on the stack, each combination of header, protocol and fragment would be followed
//! apart through the loops over the table of flows, for more than a million instructions.

use aya_ebpf::programs::TcContext;
use relay_common::{
    Leaf, Reason,
    flow::{
        self, FlowOf, Flows as _, Fragment, begin, forget, judge, judge_error, judge_later,
        remember,
    },
    header::Headers,
    names::{FAST_PATH, LIMITED, PAIR_STATS},
    payload::Payload,
    probe, service,
    transport::Transport,
    trial,
    verdict::{self, Verdict},
};

use crate::{
    Done, again, answer_probe, count, finish,
    flows::Kernel,
    hold::{hold, release, waits},
    home,
    ingress::Outcome,
    limits, maps,
    packet::Packet,
    policy,
    quote::Quote,
    router,
    seen::{Seen, Subject, code, decoded},
    settings, tables, tried,
};

/// Decides about a packet whose verdict is [`Verdict::ByRule`], or an ICMP error that lists do not
/// allow, and counts it.
#[inline(always)]
pub fn decide<const ROLE: u32>(ctx: &TcContext) -> Done {
    if !count_if_passes(ctx) && hold(again(ctx)) {
        return Done::Drop;
    }
    let done = finish_seen::<ROLE>(again(ctx));
    // Before fragments that were held take the place of the packet.
    tried::end::<ROLE>(ctx, trial::UNDECIDED);
    match done {
        Done::Redirect if release(again(ctx)) => Done::Drop,
        done => done,
    }
}

/// Decides by a candidate: a [`trial::decision`]. 0 of a fragment that waits.
#[inline(always)]
pub fn try_out(ctx: &TcContext) -> u32 {
    let passes = count_if_passes(ctx);
    decision_seen(again(ctx), passes)
}

/// Decides, and counts a packet that passes. Whether it does, before limits.
#[inline(always)]
fn count_if_passes(ctx: &TcContext) -> bool {
    let passes = read(again(ctx))
        && (judge_seen(again(ctx)) || (read_quoted(again(ctx)) && judge_seen(again(ctx))));
    if passes {
        limit_seen(again(ctx));
        begin_seen(again(ctx));
        settle(again(ctx));
        remember_seen(again(ctx));
    }
    passes
}

/// Reads the packet. `false` if it is dropped already.
#[inline(never)]
fn read(ctx: TcContext) -> bool {
    let packet = Packet::new(&ctx);
    let Some(seen) = maps::seen() else { return false };
    let read = read_into(&packet, seen);
    seen.verdict = code(read);
    read.is_ok()
}

#[inline(always)]
fn read_into(packet: &Packet<'_>, seen: &mut Seen) -> Result<(), Reason> {
    let headers = packet.headers()?;
    let transport = Transport::find(&headers, packet)?;
    let (source, destination) = policy::leaves(&headers);
    let fragment = Fragment::read(&headers, packet);
    let slots = [source.slot(), destination.slot()];
    seen.packet = flow::Packet::read(&headers, &transport, packet, slots);
    seen.directions = tables::directions(&source, &destination);
    seen.subject = Subject::Whole;
    seen.on_the_wire = packet.on_the_wire(&transport);
    let leaving = match settings::features() & FAST_PATH {
        0 => Ok(()),
        _ => router::may_leave(packet, &headers, &transport),
    };
    seen.leaving = code(leaving);
    let len = packet.len();
    if fragment.exists {
        seen.datagram = fragment.key(&headers);
        (seen.subject, seen.offset) = if transport.is_later_fragment {
            (Subject::Later, fragment.offset)
        } else {
            let end = fragment.end_of_header(transport.protocol, transport.offset, len)?;
            (Subject::First, end)
        };
    } else if len < transport.offset + flow::header_len(transport.protocol) {
        return Err(Reason::MalformedHeader);
    }
    Ok(())
}

/// Reads the packet that an ICMP error quotes. `false` if this is no error about a packet between the
/// same peers.
///
/// Sender of the error and receiver of that packet may be different addresses of one peer.
#[inline(never)]
fn read_quoted(ctx: TcContext) -> bool {
    let packet = Packet::new(&ctx);
    maps::seen().is_some_and(|seen| read_quoted_into(&packet, seen).is_some())
}

#[inline(always)]
fn read_quoted_into(packet: &Packet<'_>, seen: &mut Seen) -> Option<()> {
    let error = packet.headers().ok()?;
    let transport = Transport::find(&error, packet).ok()?;
    if transport.is_later_fragment || !service::is_error(&Payload::read(&error, &transport, packet))
    {
        return None;
    }
    let (source, destination) = policy::leaves(&error);
    // What lists alone decide keeps their reason.
    let cell = tables::cell(&source, &destination);
    let otherwise = verdict::decide(&source, &destination, cell, false).err();
    seen.verdict = code(Err(otherwise.unwrap_or(Reason::UnrelatedError)));
    let quote = Quote::of(packet, &transport);
    let quoted = Headers::of(&quote)?;
    let is_to_its_sender = match (&quoted, &error) {
        (Headers::V4(quoted), Headers::V4(error)) => {
            quoted.is_plain() && quoted.source() == error.destination()
        }
        (Headers::V6(quoted), Headers::V6(error)) => quoted.source() == error.destination(),
        _ => false,
    };
    let (from, to) = policy::leaves(&quoted);
    let transport = Transport::find(&quoted, &quote).ok()?;
    if !is_to_its_sender || to.slot() != source.slot() || transport.is_later_fragment {
        return None;
    }
    seen.packet = flow::Packet::read(&quoted, &transport, &quote, [from.slot(), to.slot()]);
    seen.directions = tables::directions(&from, &to);
    seen.subject = Subject::Quoted;
    Some(())
}

/// Judges what was read. `false` if it is dropped.
#[inline(never)]
fn judge_seen(ctx: TcContext) -> bool {
    let Some(seen) = maps::seen() else { return false };
    let kernel = Kernel::new(Packet::new(&ctx).is_probe());
    let judged = match seen.subject {
        Subject::Later => {
            let source = seen.packet.source;
            judge_later(&kernel, &seen.datagram, seen.offset, source, seen.directions)
        }
        Subject::Quoted => judge_error(&kernel, &seen.packet, seen.directions),
        Subject::Whole | Subject::First => judge(&kernel, &seen.packet, seen.directions),
    };
    match judged {
        Ok(passed) => {
            seen.passed = passed;
            seen.verdict = seen.leaving;
            true
        }
        // Of an error about no flow the reason is there already.
        Err(_) if seen.subject == Subject::Quoted => false,
        Err(reason) => {
            seen.verdict = code(Err(reason));
            false
        }
    }
}

/// Checks the packet against the limits of both peers.
#[inline(never)]
fn limit_seen(_ctx: TcContext) {
    let Some(seen) = maps::seen() else { return };
    if settings::features() & LIMITED != 0 && seen.verdict == code(Ok(())) {
        let [from, to] = seen.slots();
        seen.verdict = limits::check(from, to, seen.on_the_wire.1);
    }
}

/// Finds a place for the flow that the packet begins.
#[inline(never)]
fn begin_seen(ctx: TcContext) {
    let Some(seen) = maps::seen() else { return };
    let kernel = Kernel::new(Packet::new(&ctx).is_probe());
    let is_limited =
        seen.verdict == code(Err(Reason::Rate)) || seen.verdict == code(Err(Reason::Quota));
    if seen.passed.flow != FlowOf::BEGINS || is_limited || kernel.is_probe() {
        return;
    }
    match begin(&kernel, &seen.packet, seen.passed.rule) {
        Ok(Some((set, way))) => seen.passed.flow = FlowOf::at(set, way),
        Ok(None) => {}
        Err(reason) => {
            seen.verdict = code(Err(reason));
            return;
        }
    }
    count::begun(seen.passed.rule);
}

/// Counts a packet that passes.
#[inline(never)]
fn settle(ctx: TcContext) {
    let Some(seen) = maps::seen() else { return };
    let features = settings::features();
    if seen.verdict != code(Ok(())) || Packet::new(&ctx).is_probe() {
        return;
    }
    let [from, to] = seen.slots();
    let routed = home::route(&Packet::new(&ctx), from, to);
    seen.counted = routed.unwrap_or([from, to]);
    let [for_sender, for_receiver] = seen.counted;
    let counted = routed.and(count::between(for_sender, for_receiver, seen.on_the_wire));
    if counted.is_err() {
        seen.verdict = code(counted);
        return;
    }
    if features & LIMITED != 0 {
        limits::charge(from, to, seen.on_the_wire.1);
    }
    let flow = match seen.passed.flow.place() {
        Some((set, way)) => maps::flows(set).map(|set| set.entry(way)),
        None => None,
    };
    count::ruled(seen.passed.rule, flow, seen.on_the_wire);
    count::used(seen.passed.rule);
    if features & PAIR_STATS != 0 && for_sender == from {
        count::pair(from, to, seen.on_the_wire);
    }
    if seen.subject == Subject::First {
        forget(&Kernel::new(false), &seen.datagram, from);
    }
}

/// Remembers the first fragment of a datagram that passes.
#[inline(never)]
fn remember_seen(ctx: TcContext) {
    let Some(seen) = maps::seen() else { return };
    let kernel = Kernel::new(Packet::new(&ctx).is_probe());
    let is_kept = seen.subject == Subject::First && seen.verdict == code(Ok(()));
    if is_kept && !kernel.is_probe() {
        remember(&kernel, &seen.datagram, &seen.packet, &seen.passed, seen.offset);
    }
}

/// What becomes of the packet by a candidate.
#[inline(never)]
fn decision_seen(ctx: TcContext, passes: bool) -> u32 {
    let Some(seen) = maps::seen() else { return 0 };
    if !passes && waits(&Packet::new(&ctx), seen) {
        return 0;
    }
    match decoded(seen.verdict) {
        Ok(()) => relayed_seen(seen),
        Err(reason) => probe::encode(Err(reason)),
    }
}

/// The [`trial::decision`] about a packet that passes.
#[inline(always)]
fn relayed_seen(seen: &Seen) -> u32 {
    trial::decision(trial::RELAYED, seen.passed.side)
}

/// Does what the verdict says.
#[inline(never)]
fn finish_seen<const ROLE: u32>(ctx: TcContext) -> Done {
    let packet = Packet::new(&ctx);
    let features = settings::features();
    let verdict = match maps::seen() {
        Some(seen) => decoded(seen.verdict),
        None => Err(Reason::Inconsistent),
    };
    if packet.is_probe() {
        return answer_probe(&ctx, verdict.map(|()| Verdict::Relay));
    }
    let outcome = verdict.and_then(|()| {
        if features & FAST_PATH == 0 {
            return Ok(Outcome::Passed);
        }
        router::decrement_ttl(&packet, &packet.headers()?)?;
        Ok(Outcome::Redirected)
    });
    if tried::leaves(ROLE)
        && outcome.is_ok()
        && let Some(seen) = maps::seen()
    {
        tried::decided(relayed_seen(seen));
    }
    let mut source = Leaf::NOBODY;
    if outcome.is_err()
        && let Ok(headers) = packet.headers()
    {
        (source, _) = policy::leaves(&headers);
    }
    finish::<ROLE>(&packet, features, source.counted_slot(), outcome)
}
