//! The decision about a packet to a peer that does not come from a peer.

use relay_common::{
    Reason,
    header::protocol,
    leaf::Owner,
    mesh::Home,
    names::{EGRESS_STACK, LIMITED, MESH},
    transport::Transport,
    verdict::{self, Inbound},
};

use crate::{
    count,
    limits::{self, NO_PEER},
    maps,
    packet::Packet,
    policy,
    seen::decoded,
    settings, tables,
};

/// Decides about the packet, and counts it if it passes.
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn decide(packet: &Packet<'_>) -> Result<(), Reason> {
    maps::generation().ok_or(Reason::Inconsistent)?;
    let headers = packet.headers()?;
    // Headers that drop a peer's packet are allowed for the host.
    let transport = Transport::find(&headers, packet).unwrap_or(Transport::after(&headers));
    let (source, destination) = policy::leaves(&headers);
    if destination.owner() == Owner::Disabled {
        return Err(Reason::Disabled);
    }
    // WireGuard would call the peer here, and so become its home.
    if settings::features() & MESH != 0
        && let Owner::Peer(slot) = destination.owner()
        && maps::home(slot).is_some_and(Home::is_elsewhere)
    {
        return Err(Reason::NotHere);
    }
    if packet.came_from_an_interface() {
        let inbound = Inbound {
            answers_a_peer: packet.answers_a_peer(),
            egress_stack: settings::features() & EGRESS_STACK != 0,
        };
        let cell = tables::cell(&source, &destination);
        verdict::decide_inbound(&source, &destination, cell, inbound)?;
    } else if is_of_the_tunnel(packet, &transport) {
        return Err(Reason::OwnTunnel);
    }
    let on_the_wire = packet.on_the_wire(&transport);
    let has_limits = settings::features() & LIMITED != 0;
    if has_limits {
        decoded(limits::check(NO_PEER, destination.counted_slot(), on_the_wire.1))?;
    }
    count::from_host_to_peer(&destination, on_the_wire)?;
    if has_limits {
        limits::charge(NO_PEER, destination.counted_slot(), on_the_wire.1);
    }
    Ok(())
}

/// Whether the host's own WireGuard sent the packet, by the port of its socket. Inside the tunnel it
/// would loop through here without end.
#[inline(always)]
fn is_of_the_tunnel(packet: &Packet<'_>, transport: &Transport) -> bool {
    transport.protocol == protocol::UDP
        && !transport.is_later_fragment
        && transport.ports(packet).map(|ports| ports.source.into()) == Some(settings::listen_port())
}
