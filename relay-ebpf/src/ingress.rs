//! The decision about a packet from a peer. [`crate::direct`] is its fast path.

use relay_common::{
    Leaf, Reason,
    header::Headers,
    names::{EGRESS_STACK, FAST_PATH, LIMITED, MESH, PAIR_STATS},
    payload::Payload,
    service,
    transport::Transport,
    verdict::{self, Verdict},
};

use crate::{
    count, home, host,
    limits::{self, NO_PEER},
    maps,
    packet::Packet,
    policy, router,
    seen::decoded,
    tables,
};

/// What becomes of a packet that is not dropped.
pub enum Outcome {
    /// Sent to the other peer.
    Redirected,
    /// Passed up to the host's stack: to the host itself, or to be forwarded.
    Passed,
}

/// A packet that may pass, and what is known about it.
pub struct Passing {
    /// Where it goes.
    pub verdict: Verdict,
    headers: Headers,
    transport: Transport,
    destination: Leaf,
}

/// Decides, and changes nothing. Sets `source` to the leaf of the source as soon as it is known.
///
/// Both programs use the generation map, so that they hold a reference to it, by which the loader
/// finds the policy in force.
///
/// Each role has a copy: closures that several share would be calls.
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn judge<const ROLE: u32>(
    packet: &Packet<'_>,
    features: u32,
    source: &mut Leaf,
) -> Result<Passing, Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    let transport = packet.check(&headers)?;
    let destination;
    (*source, destination) = policy::leaves(&headers);
    if features & MESH != 0 {
        home::admit(packet, source, &destination)?;
    }
    let cell = tables::cell(source, &destination);
    let fast_path = features & FAST_PATH != 0;
    let judged = verdict::decide(source, &destination, cell, features & EGRESS_STACK != 0);
    let verdict = if verdict::needs_routing(judged, fast_path) {
        let payload = Payload::read(&headers, &transport, packet);
        let routing = host::routing(packet, &headers, &transport, &payload, &destination);
        verdict::settle(judged, routing, || host::may_reach(packet, &headers, &payload))?
    } else {
        judged?
    };
    // Of a packet that a rule has yet to allow, nobody learns how far it came.
    if verdict == Verdict::Relay && fast_path {
        router::may_leave(packet, &headers, &transport)?;
    }
    if features & LIMITED != 0 && verdict != Verdict::ByRule {
        let (_, bytes) = packet.on_the_wire(&transport);
        decoded(limits::check(source.slot(), receiver(verdict, &destination), bytes))?;
    }
    Ok(Passing { verdict, headers, transport, destination })
}

/// Whether the packet is an ICMP error between two peers that lists alone do not allow: it may quote
/// a packet of a flow between other addresses of theirs.
#[inline(always)]
pub fn may_answer_a_flow<const ROLE: u32>(packet: &Packet<'_>, reason: Reason) -> bool {
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
    source: &Leaf,
    passing: &Passing,
) -> Result<Outcome, Reason> {
    let destination = &passing.destination;
    let on_the_wire = charge(packet, features, source, passing);
    if passing.verdict != Verdict::Relay {
        count::from_peer_to_host(source, on_the_wire)?;
        return Ok(Outcome::Passed);
    }
    let [from, to] = home::route(packet, source.slot(), destination.slot())?;
    count::between(from, to, on_the_wire)?;
    if features & PAIR_STATS != 0 && from == source.slot() {
        count::pair(source.slot(), destination.slot(), on_the_wire);
    }
    if features & FAST_PATH == 0 {
        return Ok(Outcome::Passed);
    }
    router::decrement_ttl(packet, &passing.headers)?;
    Ok(Outcome::Redirected)
}

/// Charges a packet that passes to the limits of both ends. Its packets and bytes on the wire.
#[inline(always)]
pub fn charge(packet: &Packet<'_>, features: u32, source: &Leaf, passing: &Passing) -> (u64, u64) {
    let on_the_wire = packet.on_the_wire(&passing.transport);
    if features & LIMITED != 0 {
        let receiver = receiver(passing.verdict, &passing.destination);
        limits::charge(source.slot(), receiver, on_the_wire.1);
    }
    on_the_wire
}

/// The slot whose limits a packet with this verdict meets at its end.
#[inline(always)]
fn receiver(verdict: Verdict, destination: &Leaf) -> u32 {
    if verdict == Verdict::Relay { destination.slot() } else { NO_PEER }
}
