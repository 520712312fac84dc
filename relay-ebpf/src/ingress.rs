//! Every packet from a peer: the whole decision, of which [`crate::direct`] is the short way.

use relay_common::{
    Leaf, Reason,
    names::{EGRESS_STACK, FAST_PATH, PAIR_STATS},
    verdict::{self, Verdict},
};

use crate::{
    count, host, maps,
    packet::{Headers, Packet, Transport},
    policy, settings, tables,
};

/// What becomes of a packet that is not refused.
pub enum Outcome {
    /// Out of the interface it came from, to the other peer.
    Redirected,
    /// Up into the host's stack: for the host itself, or to be forwarded by it.
    Passed,
}

/// A packet that may pass, and what was found out about it.
pub struct Passing {
    /// Where to.
    pub verdict: Verdict,
    headers: Headers,
    transport: Transport,
    destination: Leaf,
}

/// Decides, and changes nothing. `source` is left with whom the packet came from.
///
/// Both programs touch the generation map, so that they hold it and the loader finds by it which
/// policy is in force.
///
/// # Errors
/// Why it is refused.
#[inline(always)]
pub fn judge(packet: &Packet<'_>, features: u32, source: &mut Leaf) -> Result<Passing, Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    let transport = packet.check(&headers)?;
    let destination;
    (*source, destination) = policy::leaves(&headers);
    let pair = tables::pair(source, &destination);
    let fast_path = features & FAST_PATH != 0;
    let judged = verdict::decide(source, &destination, pair, features & EGRESS_STACK != 0);
    let verdict = if verdict::needs_routing(judged, fast_path) {
        let routing = host::routing(packet, &headers, &transport, &destination);
        verdict::settle(judged, routing, || host::may_reach(packet, &headers, &transport))?
    } else {
        judged?
    };
    if verdict == Verdict::Relay && fast_path {
        may_leave(packet, &headers, &transport)?;
    }
    Ok(Passing { verdict, headers, transport, destination })
}

/// The checks a router makes. On the slow path the stack makes its own of them.
#[inline(always)]
fn may_leave(packet: &Packet<'_>, headers: &Headers, transport: &Transport) -> Result<(), Reason> {
    let (hops, may_fragment) = match headers {
        Headers::V4(header) => (header.ttl(), !header.dont_fragment()),
        Headers::V6(header) => (header.hop_limit(), false),
    };
    if hops <= 1 {
        return Err(Reason::TtlExceeded);
    }
    if packet.len() > settings::mtu() && !may_fragment && !packet.segments_fit(transport) {
        return Err(Reason::TooBig);
    }
    Ok(())
}

/// Counts a packet that passes, and takes its TTL down, which on the slow path the stack does.
///
/// # Errors
/// There are no counters, so it does not pass after all.
#[inline(always)]
pub fn carry_out(
    packet: &Packet<'_>,
    features: u32,
    source: &Leaf,
    passing: &Passing,
) -> Result<Outcome, Reason> {
    let destination = &passing.destination;
    if passing.verdict != Verdict::Relay {
        count::from_peer_to_host(packet, &passing.transport, source)?;
        return Ok(Outcome::Passed);
    }
    let on_the_wire = packet.on_the_wire(&passing.transport);
    count::relayed(source, destination, on_the_wire)?;
    if features & PAIR_STATS != 0 {
        count::pair(source, destination, on_the_wire);
    }
    if features & FAST_PATH == 0 {
        return Ok(Outcome::Passed);
    }
    match &passing.headers {
        Headers::V4(header) => {
            let words = packet.linear::<[u32; 5]>().ok_or(Reason::Inconsistent)?;
            words.store_ttl_word(header.decremented());
        }
        Headers::V6(header) => {
            let words = packet.linear::<[u64; 5]>().ok_or(Reason::Inconsistent)?;
            words.store_hop_limit(header.hop_limit() - 1);
        }
    }
    Ok(Outcome::Redirected)
}
