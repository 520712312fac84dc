//! The decision about a packet from a peer. [`crate::direct`] is its fast path.

use aya_ebpf::programs::TcContext;
use relay_common::{
    Leaf, Reason,
    header::Headers,
    names::{EGRESS_STACK, FAST_PATH, LIMITED, MESH, PAIR_STATS, RULES},
    payload::Payload,
    probe, service,
    transport::Transport,
    verdict::{self, Verdict},
};

use crate::{
    count, home, host,
    judged::Judged,
    limits::{self, NO_PEER},
    maps,
    packet::Packet,
    policy,
    quote::Quote,
    router,
    seen::decoded,
    settings, tables,
};

/// What becomes of a packet that is not dropped.
pub enum Outcome {
    /// Sent to the other peer.
    Redirected,
    /// Passed up to the host's stack: to the host itself, or to be forwarded.
    Passed,
}

/// Decides, and leaves what is known in [`Judged`]. `true` if rules have to decide.
///
/// A peer is at home with its packet, whatever becomes of that.
#[inline(never)]
pub fn judge<const ROLE: u32>(ctx: TcContext) -> bool {
    let Some(judged) = maps::judged() else { return false };
    let packet = Packet::new(&ctx);
    let features = settings::features();
    let mut source = Leaf::NOBODY;
    judged.is_error_to_host = false;
    let verdict = judge_into::<ROLE>(&packet, features, &mut source, judged);
    if features & MESH != 0 {
        home::arrive(&packet, &source);
    }
    judged.source = source.counted_slot();
    let asks_rules = match verdict {
        Ok(verdict) => verdict == Verdict::ByRule,
        Err(reason) => features & RULES != 0 && may_answer_a_flow(&packet, reason),
    };
    if asks_rules && features & RULES != 0 {
        return true;
    }
    judged.verdict = probe::encode(if asks_rules { Err(Reason::Inconsistent) } else { verdict });
    false
}

/// Both programs use the generation map, so that they hold a reference to it, by which the loader
/// finds the policy in force.
///
/// Each role has a copy: closures that several share would be calls.
#[inline(always)]
fn judge_into<const ROLE: u32>(
    packet: &Packet<'_>,
    features: u32,
    source: &mut Leaf,
    judged: &mut Judged,
) -> Result<Verdict, Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    let transport = packet.check(&headers)?;
    let destination;
    (*source, destination) = policy::leaves(&headers);
    judged.destination = destination.slot();
    judged.on_the_wire = packet.on_the_wire(&transport);
    if features & MESH != 0 {
        home::admit(packet, source, &destination)?;
    }
    let cell = tables::cell(source, &destination);
    let fast_path = features & FAST_PATH != 0;
    let decided = verdict::decide(source, &destination, cell, features & EGRESS_STACK != 0);
    let verdict = if verdict::needs_routing(decided, fast_path) {
        let payload = Payload::read(&headers, &transport, packet);
        let routing = host::routing(packet, &headers, &transport, &payload, &destination);
        verdict::settle(decided, routing, || {
            judged.is_error_to_host = service::is_error(&payload);
            host::may_reach(packet, &headers, &payload)
        })?
    } else {
        decided?
    };
    // Of a packet that a rule has yet to allow, nobody learns how far it came.
    if verdict == Verdict::Relay && fast_path {
        router::may_leave(packet, &headers, &transport)?;
    }
    Ok(verdict)
}

/// Drops an ICMP error to the host that quotes no packet of the host to the peer. The kernel believes
/// what it says of the way to anybody, whoever sent it (icmp_unreach(), net/ipv4/icmp.c, 6.12).
#[inline(never)]
pub fn check_error(ctx: TcContext) {
    let Some(judged) = maps::judged() else { return };
    if !judged.is_error_to_host || judged.verdict != probe::encode(Ok(Verdict::ToHost)) {
        return;
    }
    let packet = Packet::new(&ctx);
    if quotes_the_host(&packet, judged.source).is_none() {
        judged.verdict = probe::encode(Err(Reason::UnrelatedError));
    }
}

/// Whether it quotes a packet from the error's destination to addresses of the peer of a slot.
#[inline(always)]
fn quotes_the_host(packet: &Packet<'_>, slot: u32) -> Option<()> {
    let error = packet.headers().ok()?;
    let transport = Transport::find(&error, packet).ok()?;
    let quoted = Headers::of(&Quote::of(packet, &transport))?;
    let is_to_its_sender = match (&quoted, &error) {
        (Headers::V4(quoted), Headers::V4(error)) => quoted.source() == error.destination(),
        (Headers::V6(quoted), Headers::V6(error)) => quoted.source() == error.destination(),
        _ => false,
    };
    let (_, to) = policy::leaves(&quoted);
    (is_to_its_sender && to.slot() == slot).then_some(())
}

/// Drops a packet that exceeds the limits of its ends.
#[inline(never)]
pub fn limit(_ctx: TcContext) {
    let Some(judged) = maps::judged() else { return };
    if !probe::is_dropped(judged.verdict) {
        let over = limits::check(judged.source, receiver(judged), judged.on_the_wire.1);
        if let Err(reason) = decoded(over) {
            judged.verdict = probe::encode(Err(reason));
        }
    }
}

/// Whether the packet is an ICMP error between two peers that lists alone do not allow: it may quote
/// a packet of a flow between other addresses of theirs.
#[inline(always)]
fn may_answer_a_flow(packet: &Packet<'_>, reason: Reason) -> bool {
    let is_by_lists = matches!(
        reason,
        Reason::NotInEitherList | Reason::NotInSourceList | Reason::NotInDestinationList
    );
    let is_error = || {
        let headers = packet.headers().ok()?;
        let transport = Transport::find(&headers, packet).ok()?;
        Some(service::is_error(&Payload::read(&headers, &transport, packet)))
    };
    is_by_lists && is_error() == Some(true)
}

/// Counts a packet that passes, and decrements its TTL unless the host's stack does.
///
/// # Errors
/// The slot has no counters, so the packet does not pass.
#[inline(always)]
pub fn carry_out(
    packet: &Packet<'_>,
    features: u32,
    judged: &Judged,
    verdict: Verdict,
) -> Result<Outcome, Reason> {
    charge(features, judged);
    let (source, destination, on_the_wire) =
        (judged.source, judged.destination, judged.on_the_wire);
    if verdict != Verdict::Relay {
        count::from_peer_to_host(source, on_the_wire)?;
        return Ok(Outcome::Passed);
    }
    let [from, to] = home::route(packet, source, destination)?;
    count::between(from, to, on_the_wire)?;
    if features & PAIR_STATS != 0 && from == source {
        count::pair(source, destination, on_the_wire);
    }
    if features & FAST_PATH == 0 {
        return Ok(Outcome::Passed);
    }
    router::decrement_ttl(packet, &packet.headers()?)?;
    Ok(Outcome::Redirected)
}

/// Charges a packet that passes to the limits of both ends.
#[inline(always)]
pub fn charge(features: u32, judged: &Judged) {
    if features & LIMITED != 0 {
        limits::charge(judged.source, receiver(judged), judged.on_the_wire.1);
    }
}

/// The slot whose limits the packet meets at its end.
#[inline(always)]
fn receiver(judged: &Judged) -> u32 {
    let is_to_a_peer = judged.verdict == probe::encode(Ok(Verdict::Relay));
    if is_to_a_peer { judged.destination } else { NO_PEER }
}
