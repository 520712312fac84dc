//! Peers of a mesh: at which relay they are at home, and what other relays may send.
//!
//! A packet from another relay comes to the same program as one from a peer, with a mark that
//! `relay_transit` has set ([`Packet::transit`]).

use aya_ebpf::programs::TcContext;
use relay_common::{
    Leaf, Reason, leaf::Owner, mesh::Home, names::MESH, payload::Payload, service,
    transport::Transport,
};

use crate::{again, count, maps, packet::Packet, policy, router, settings::has};

/// [`cross`], if there is a mesh; otherwise these slots.
///
/// # Errors
/// Another relay may not send the packet.
#[inline(always)]
pub fn route(packet: &Packet<'_>, source: u32, destination: u32) -> Result<[u32; 2], Reason> {
    if !has(MESH) {
        return Ok([source, destination]);
    }
    // By then `admit` has passed it.
    crossing(packet, source, destination).ok_or(Reason::Inconsistent)
}

/// The same where it is known whether there is a mesh.
#[inline(always)]
pub fn routed<const MESHED: bool>(
    packet: &Packet<'_>,
    source: u32,
    destination: u32,
) -> Option<[u32; 2]> {
    if MESHED { crossing(packet, source, destination) } else { Some([source, destination]) }
}

#[inline(always)]
fn crossing(packet: &Packet<'_>, source: u32, destination: u32) -> Option<[u32; 2]> {
    match cross(again(packet.context()), source, destination) {
        0 => None,
        slots => Some([(slots >> 32) as u32, slots as u32]),
    }
}

/// Decides where a packet between the peers of two slots leaves, and brings a peer home whose packet
/// this is. The slots that it counts for, the sender's in the upper half: of a peer that is at home at
/// another relay, that of the relay. 0 if another relay may not send it.
#[inline(never)]
fn cross(ctx: TcContext, source: u32, destination: u32) -> u64 {
    let packet = Packet::new(&ctx);
    let [from, to] = decided(&packet, source, destination).unwrap_or([0; 2]);
    u64::from(from) << 32 | u64::from(to)
}

#[inline(always)]
fn decided(packet: &Packet<'_>, source: u32, destination: u32) -> Result<[u32; 2], Reason> {
    let own = maps::home(source).ok_or(Reason::Inconsistent)?;
    let home = maps::home(destination).ok_or(Reason::Inconsistent)?;
    if let Some(transit) = packet.transit() {
        check(transit, own, home)?;
        packet.set_way(packet.interface());
        return Ok([own.slot, destination]);
    }
    if own != Home::HERE {
        maps::come_home(source);
    }
    if home.is_elsewhere() {
        packet.set_way(home.interface);
        return Ok([source, home.slot]);
    }
    packet.set_way(packet.interface());
    Ok([source, destination])
}

/// Checks that a packet on a transit interface is from a peer at home there to a peer at home here.
#[inline(always)]
fn check(transit: u32, source: Home, destination: Home) -> Result<(), Reason> {
    if source.interface != transit {
        return Err(Reason::WrongHome);
    }
    if destination.is_elsewhere() {
        return Err(Reason::NotHere);
    }
    Ok(())
}

/// Checks what another relay sends, as [`cross`] does it for packets between peers. Whatever a peer
/// sends passes.
///
/// # Errors
/// The packet is not from a peer at home there, or not to a peer at home here.
#[inline(always)]
pub fn admit(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Result<(), Reason> {
    let Some(transit) = packet.transit() else { return Ok(()) };
    let Owner::Peer(from) = source.owner() else { return Err(Reason::WrongHome) };
    let from = maps::home(from).ok_or(Reason::Inconsistent)?;
    let Owner::Peer(to) = destination.owner() else {
        return check(transit, from, Home::HERE).and(Err(Reason::NotHere));
    };
    check(transit, from, maps::home(to).ok_or(Reason::Inconsistent)?)
}

/// Makes this relay the home of whoever has sent a packet, whatever becomes of that.
#[inline(always)]
pub fn arrive(packet: &Packet<'_>, source: &Leaf) {
    if let Owner::Peer(slot) = source.owner()
        && packet.transit().is_none()
        && !packet.is_probe()
        && maps::home(slot).is_some_and(|home| home != Home::HERE)
    {
        maps::come_home(slot);
    }
}

/// Whether this is an ICMP error of another relay for a peer at home here, which is ready to be sent
/// there then, and counted. All relays of a mesh have the same address in the overlay.
#[inline(never)]
pub fn relay_error(ctx: TcContext) -> bool {
    let packet = Packet::new(&ctx);
    prepare_error(&packet).is_ok()
}

#[inline(always)]
fn prepare_error(packet: &Packet<'_>) -> Result<(), Reason> {
    let headers = packet.headers()?;
    let transport = Transport::find(&headers, packet)?;
    let (source, destination) = policy::leaves(&headers);
    let Owner::Peer(to) = destination.owner() else { return Err(Reason::NotHere) };
    let is_here = maps::home(to).is_some_and(|home| !home.is_elsewhere());
    let is_error = service::is_error(&Payload::read(&headers, &transport, packet));
    if source.owner() != Owner::Host || !is_here || !is_error || transport.is_later_fragment {
        return Err(Reason::WrongHome);
    }
    router::may_leave(packet, &headers, &transport)?;
    count::from_host_to_peer(&destination, packet.on_the_wire(&transport))?;
    packet.set_way(packet.interface());
    router::decrement_ttl(packet, &headers)
}
