//! Every packet to a peer that did not come from one.

use relay_common::{Reason, names::EGRESS_STACK, verdict};

use crate::{
    count, maps,
    packet::{Packet, Transport},
    policy, settings, tables,
};

/// Decides about it, and counts it if it goes on.
///
/// # Errors
/// Why it is refused.
#[inline(always)]
pub fn decide(packet: &Packet<'_>) -> Result<(), Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    let (source, destination) = policy::leaves(&headers);
    if packet.came_from_an_interface() {
        let pair = tables::pair(&source, &destination);
        let egress_stack = settings::features() & EGRESS_STACK != 0;
        verdict::decide_inbound(&source, &destination, pair, egress_stack)?;
    }
    // The host may send headers that peers may not.
    let transport = packet.transport(&headers).unwrap_or(Transport::after(&headers));
    count::from_host_to_peer(packet, &transport, &destination)
}
