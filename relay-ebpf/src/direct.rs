//! Fast path for the common case: a single packet without options or extension headers, between two
//! peers that list each other, with addresses in the arrays. It makes the same checks and decision as
//! [`crate::ingress`], and leaves every other packet to it, unchanged.

use relay_common::{
    Leaf,
    header::{Ipv4Header, Ipv6Header, protocol},
};

use crate::{
    count,
    packet::Packet,
    settings,
    tables::{self, RangeV4, RangeV6},
};

/// What the fast path made of a packet.
pub enum Glance {
    /// It is ready for the redirect to the other peer.
    Relayed,
    /// Unchanged: its header is right, and lists do not open the way between these leaves.
    NotByLists(&'static Leaf, &'static Leaf),
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
    if !tables::cell(source, destination).is_mutual(source) {
        return Some(Glance::NotByLists(source, destination));
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
    if !tables::cell(source, destination).is_mutual(source) {
        return Some(Glance::NotByLists(source, destination));
    }
    account(packet, source, destination)?;
    words.store_hop_limit(header.hop_limit() - 1);
    Some(Glance::Relayed)
}

/// Counts the packet, if the fast path relays it.
#[inline(always)]
fn account(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Option<()> {
    let is_plain = source.slot() != destination.slot()
        && packet.len() <= settings::direct_mtu()
        && packet.segments() == 1;
    if !is_plain {
        return None;
    }
    count::relayed(source, destination, (1, packet.len().into())).ok()
}
