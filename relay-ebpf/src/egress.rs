//! Every packet to a peer that did not come from one.

use relay_common::{
    Reason,
    header::protocol,
    names::EGRESS_STACK,
    verdict::{self, Inbound},
};

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
    // The host may send headers that peers may not.
    let transport = packet.transport(&headers).unwrap_or(Transport::after(&headers));
    let (source, destination) = policy::leaves(&headers);
    if packet.came_from_an_interface() {
        let inbound = Inbound {
            answers_a_peer: packet.answers_a_peer(),
            egress_stack: settings::features() & EGRESS_STACK != 0,
        };
        let pair = tables::pair(&source, &destination);
        verdict::decide_inbound(&source, &destination, pair, inbound)?;
    } else if is_of_the_tunnel(packet, &transport) {
        return Err(Reason::OwnTunnel);
    }
    count::from_host_to_peer(packet, &transport, &destination)
}

/// Whether the host's own WireGuard sent it: the port is that of its socket. Inside the tunnel it
/// would come back here as often as it leaves.
#[inline(always)]
fn is_of_the_tunnel(packet: &Packet<'_>, transport: &Transport) -> bool {
    transport.protocol == protocol::UDP
        && !transport.is_later_fragment
        && packet.transport_u16(transport, 0).map(u32::from) == Some(settings::listen_port())
}
