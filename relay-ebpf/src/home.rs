//! Peers of a mesh: at which relay they are at home, and what other relays send.

use aya_ebpf::programs::TcContext;
use relay_common::{
    Leaf, Reason,
    header::{Headers, protocol},
    leaf::Owner,
    mesh::{GOSSIP_PORT, Home, OWN_ENTRY},
    names::MESH,
    payload::Payload,
    service,
    transport::Transport,
};

use crate::{
    count,
    event::{self, Direction},
    maps,
    packet::Packet,
    policy,
    settings::{self, has},
};

/// Decides where a packet between the peers of two slots leaves. The slots that it counts for: of a
/// peer that is at home at another relay, that of the relay.
#[inline(always)]
pub fn route(packet: &Packet<'_>, source: u32, destination: u32) -> Result<[u32; 2], Reason> {
    if !has(MESH) {
        return Ok([source, destination]);
    }
    let own = maps::home(source).ok_or(Reason::Inconsistent)?;
    if own != Home::HERE {
        if own.interface == packet.interface() {
            let relay = maps::home(OWN_ENTRY).ok_or(Reason::Inconsistent)?;
            packet.set_way(relay.interface);
            return Ok([own.slot, destination]);
        }
        maps::come_home(source);
    }
    let home = maps::home(destination).ok_or(Reason::Inconsistent)?;
    if home == Home::HERE {
        packet.set_way(packet.interface());
        return Ok([source, destination]);
    }
    packet.set_way(home.interface);
    Ok([source, home.slot])
}

/// What another relay may send.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Admitted {
    /// Nothing: it is dropped, and counted.
    Nothing = 0,
    /// A packet between peers, one at home there, one here.
    Packet = 1,
    /// An ICMP error of that relay for a peer at home here.
    Error = 2,
    /// Gossip.
    Gossip = 3,
}

/// What a packet on a transit interface is.
#[inline(never)]
pub fn admit(ctx: TcContext) -> Admitted {
    let packet = Packet::new(&ctx);
    let mut source = Leaf::NOBODY;
    match judge(&packet, &mut source) {
        Ok(admitted) => admitted,
        Err(reason) => {
            count::dropped(&packet, &source, reason);
            event::write(&packet, source.counted_slot(), reason, Direction::Ingress);
            Admitted::Nothing
        }
    }
}

#[inline(always)]
fn judge(packet: &Packet<'_>, source: &mut Leaf) -> Result<Admitted, Reason> {
    let headers = packet.headers()?;
    let transport = packet.check(&headers)?;
    if let Headers::V6(header) = &headers
        && header.source()[0] == settings::transit_high()
        && header.destination()[0] == settings::transit_high()
    {
        let to = transport.ports(packet).map(|ports| ports.destination);
        let is_gossip = transport.protocol == protocol::UDP
            && !transport.is_later_fragment
            && to == Some(GOSSIP_PORT);
        return if is_gossip { Ok(Admitted::Gossip) } else { Err(Reason::WrongHome) };
    }
    let destination;
    (*source, destination) = policy::leaves(&headers);
    let Owner::Peer(to) = destination.owner() else { return Err(Reason::NotHere) };
    if maps::home(to) != Some(Home::HERE) {
        return Err(Reason::NotHere);
    }
    match source.owner() {
        Owner::Peer(from)
            if maps::home(from).is_some_and(|home| home.interface == packet.interface()) =>
        {
            Ok(Admitted::Packet)
        }
        // The site's relays have one address.
        Owner::Host if service::is_error(&Payload::read(&headers, &transport, packet)) => {
            count::from_host_to_peer(&destination, packet.on_the_wire(&transport))?;
            Ok(Admitted::Error)
        }
        _ => Err(Reason::WrongHome),
    }
}
