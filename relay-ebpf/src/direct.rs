//! Fast path for the common case: a single packet without options or extension headers, between two
//! peers that list each other, with addresses in the arrays. It makes the same checks and decision as
//! [`crate::ingress`], and leaves every other packet to it, unchanged.

use relay_common::{
    Leaf, cell,
    header::{Ipv4Header, Ipv6Header, protocol},
    names::LIMITED,
};

use crate::{
    home, limits,
    packet::{Packet, Single},
    settings::has,
    tables::{Place, RangeV4, RangeV6, opaque},
    tried::{self, TRIAL},
};

/// What the fast path made of a packet.
pub enum Glance {
    /// It is ready for the redirect to the other peer, out of the interface that it came from.
    Relayed,
    /// It is ready for the redirect to the other peer, on its way through a mesh.
    Routed,
    /// Unchanged: its IPv4 header is right, and other things decide than lists.
    LeftV4(Left),
    /// The same for IPv6.
    LeftV6(Left),
}

/// The leaves of source and destination, and their cell.
pub struct Left {
    /// Leaf of the source.
    pub source: &'static Leaf,
    /// Leaf of the destination.
    pub destination: &'static Leaf,
    /// Where their cell is.
    pub place: Place,
    /// [`cell::bits`] of it.
    pub bits: u64,
}

/// Prepares the packet for the redirect to the other peer, or leaves it unchanged. For a trial it only
/// tells whether it would.
#[inline(always)]
pub fn relay<const ROLE: u32>(packet: &Packet<'_>) -> Option<Glance> {
    let words = packet.linear::<[u32; 5]>()?;
    let header = Ipv4Header::new(words.copy());
    if !header.is_plain() {
        return relay_v6::<ROLE>(packet);
    }
    header.check(packet.len()).ok()?;
    let range = RangeV4::read();
    let source = range.leaf(header.source())?;
    let destination = range.leaf(header.destination())?;
    if header.expires() {
        return None;
    }
    let place = Place::of(source, destination)?;
    let ends = [source, destination];
    let store = || words.store_ttl_word(header.decremented());
    let left = |bits| Glance::LeftV4(Left { source, destination, place, bits });
    match packet.single() {
        Single::No => None,
        Single::Alone => judged::<ROLE, false>(packet, ends, place, store, left),
        Single::Meshed => judged::<ROLE, true>(packet, ends, place, store, left),
    }
}

#[inline(always)]
fn relay_v6<const ROLE: u32>(packet: &Packet<'_>) -> Option<Glance> {
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
    let ends = [source, destination];
    let store = || words.store_hop_limit(header.hop_limit() - 1);
    let left = |bits| Glance::LeftV6(Left { source, destination, place, bits });
    match packet.single() {
        Single::No => None,
        Single::Alone => judged::<ROLE, false>(packet, ends, place, store, left),
        Single::Meshed => judged::<ROLE, true>(packet, ends, place, store, left),
    }
}

/// Decides by the cell, and counts a packet that is relayed. `store` writes its TTL.
#[inline(always)]
fn judged<const ROLE: u32, const MESHED: bool>(
    packet: &Packet<'_>,
    [source, destination]: [&Leaf; 2],
    place: Place,
    store: impl FnOnce(),
    left: impl FnOnce(u64) -> Glance,
) -> Option<Glance> {
    let bits = cell::bits(opaque(place.cell().number()), source);
    if cell::is_mutual(bits) {
        account::<ROLE, MESHED>(packet, source, destination)?;
    } else {
        if !cell::is_limited_mutual(bits) || !has(LIMITED) {
            return Some(left(bits));
        }
        limits::account::<ROLE, MESHED>(packet, source, destination)?;
    }
    if ROLE != TRIAL {
        store();
    }
    Some(if MESHED { Glance::Routed } else { Glance::Relayed })
}

/// Counts the packet, if the fast path relays it.
#[inline(always)]
fn account<const ROLE: u32, const MESHED: bool>(
    packet: &Packet<'_>,
    source: &Leaf,
    destination: &Leaf,
) -> Option<()> {
    if source.slot() == destination.slot() {
        return None;
    }
    let slots = home::routed::<MESHED>(packet, source.slot(), destination.slot())?;
    tried::counted::<ROLE>(packet, slots)
}
