//! What a router does with a packet that it sends on.

use relay_common::{Reason, header::Headers, transport::Transport};

use crate::{packet::Packet, settings};

/// The checks of a router. Without the fast path the host's stack makes them.
///
/// # Errors
/// The packet does not leave.
#[inline(always)]
pub fn may_leave(
    packet: &Packet<'_>,
    headers: &Headers,
    transport: &Transport,
) -> Result<(), Reason> {
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

/// Decrements TTL or hop limit, which is not 0.
///
/// # Errors
/// The header is no longer in the linear part.
#[inline(always)]
pub fn decrement_ttl(packet: &Packet<'_>, headers: &Headers) -> Result<(), Reason> {
    match headers {
        Headers::V4(header) => {
            let words = packet.linear::<[u32; 5]>().ok_or(Reason::Inconsistent)?;
            words.store_ttl_word(header.decremented());
        }
        Headers::V6(header) => {
            let words = packet.linear::<[u64; 5]>().ok_or(Reason::Inconsistent)?;
            words.store_hop_limit(header.hop_limit() - 1);
        }
    }
    Ok(())
}
