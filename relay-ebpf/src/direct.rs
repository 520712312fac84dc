//! Fast path for the common case: a single packet without options or extension headers, between two
//! peers that list each other, with addresses in the arrays. It makes the same checks and decision as
//! [`crate::ingress`], and leaves every other packet to it, unchanged.

use relay_common::{
    Leaf, cell,
    header::{Ipv4Header, Ipv6Header, protocol},
};

use crate::{
    count,
    packet::Packet,
    tables::{Place, RangeV4, RangeV6, opaque},
};

/// What the fast path made of a packet.
pub enum Glance {
    /// It is ready for the redirect to the other peer.
    Relayed,
    /// Unchanged: its IPv4 header is right, and rules decide between these leaves.
    RuledV4(Ruled),
    /// The same for IPv6.
    RuledV6(Ruled),
}

/// The leaves of source and destination, and the place of their cell.
pub struct Ruled {
    /// Leaf of the source.
    pub source: &'static Leaf,
    /// Leaf of the destination.
    pub destination: &'static Leaf,
    /// Where their cell is.
    pub place: Place,
}

/// Prepares the packet for the redirect to the other peer, or leaves it unchanged.
#[inline(always)]
pub fn relay(packet: &Packet<'_>) -> Option<Glance> {
    let words = packet.linear::<[u32; 5]>()?;
    let header = Ipv4Header::new(words.copy());
    if !header.is_plain() {
        return relay_v6(packet);
    }
    header.check(packet.len()).ok()?;
    let range = RangeV4::read();
    let source = range.leaf(header.source())?;
    let destination = range.leaf(header.destination())?;
    if header.expires() {
        return None;
    }
    let place = Place::of(source, destination)?;
    if !packet.is_single() {
        return None;
    }
    let number = opaque(place.cell().number());
    if !cell::is_mutual(number, source) {
        return cell::is_ruled(number, source).then_some(Glance::RuledV4(Ruled {
            source,
            destination,
            place,
        }));
    }
    account(packet, source, destination)?;
    words.store_ttl_word(header.decremented());
    Some(Glance::Relayed)
}

#[inline(always)]
fn relay_v6(packet: &Packet<'_>) -> Option<Glance> {
    let words = packet.linear::<[u64; 5]>()?;
    let header = Ipv6Header::new(words.copy());
    header.check(packet.len()).ok()?;
    if !matches!(header.next_header(), protocol::TCP | protocol::UDP | protocol::ICMPV6) {
        return None;
    }
    let range = RangeV6::read();
    let source = range.leaf(header.source())?;
    let destination = range.leaf(header.destination())?;
    if header.hop_limit() <= 1 {
        return None;
    }
    let place = Place::of(source, destination)?;
    if !packet.is_single() {
        return None;
    }
    let number = opaque(place.cell().number());
    if !cell::is_mutual(number, source) {
        return cell::is_ruled(number, source).then_some(Glance::RuledV6(Ruled {
            source,
            destination,
            place,
        }));
    }
    account(packet, source, destination)?;
    words.store_hop_limit(header.hop_limit() - 1);
    Some(Glance::Relayed)
}

/// Counts the packet, if the fast path relays it.
#[inline(always)]
fn account(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Option<()> {
    if source.slot() == destination.slot() {
        return None;
    }
    count::relayed(source, destination, (1, packet.len().into())).ok()
}
