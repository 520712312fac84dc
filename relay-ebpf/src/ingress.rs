//! Every packet from a peer: the whole decision, of which [`crate::direct`] is the short way.

use relay_common::{
    Leaf, Reason,
    names::{EGRESS_STACK, FAST_PATH},
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

/// Decides, counts what goes on, and takes its TTL down. `source` is left with whom it came from.
///
/// Both programs touch the generation map, so that they hold it and the loader finds by it which
/// policy is in force.
///
/// # Errors
/// Why it is refused.
#[inline(always)]
pub fn decide(packet: &Packet<'_>, features: u32, source: &mut Leaf) -> Result<Outcome, Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    let transport = packet.check(&headers)?;
    let destination;
    (*source, destination) = policy::leaves(&headers);
    let pair = tables::pair(source, &destination);
    match verdict::decide(source, &destination, pair, features & EGRESS_STACK != 0)? {
        Verdict::Relay => relay(packet, features, (&headers, &transport), source, &destination),
        Verdict::ToStack if !host::keeps(packet, &headers) => {
            count::from_peer_to_host(packet, &transport, source)?;
            Ok(Outcome::Passed)
        }
        Verdict::ToHost | Verdict::ToStack => {
            if !host::may_reach(packet, &headers, &transport) {
                return Err(Reason::HostAccess);
            }
            count::from_peer_to_host(packet, &transport, source)?;
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
    (headers, transport): (&Headers, &Transport),
    source: &Leaf,
    destination: &Leaf,
) -> Result<Outcome, Reason> {
    if features & FAST_PATH == 0 {
        count::relayed(source, destination, packet.on_the_wire(transport))?;
        return Ok(Outcome::Passed);
    }
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
    count::relayed(source, destination, packet.on_the_wire(transport))?;
    match headers {
        Headers::V4(header) => {
            let words = packet.linear::<[u32; 5]>().ok_or(Reason::Inconsistent)?;
            words.store_ttl_word(header.decremented());
        }
        Headers::V6(_) => {
            let words = packet.linear::<[u64; 5]>().ok_or(Reason::Inconsistent)?;
            words.store_hop_limit(hops - 1);
        }
    }
    Ok(Outcome::Redirected)
}
