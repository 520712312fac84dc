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

/// Prepares the packet for the redirect to the other peer, or leaves it unchanged.
#[inline(always)]
pub fn relay(packet: &Packet<'_>) -> Option<()> {
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
    account(packet, source, destination)?;
    words.store_ttl_word(header.decremented());
    Some(())
}

#[inline(always)]
fn relay_v6(packet: &Packet<'_>) -> Option<()> {
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
    account(packet, source, destination)?;
    words.store_hop_limit(header.hop_limit() - 1);
    Some(())
}

/// Counts the packet, if the fast path relays it.
#[inline(always)]
fn account(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Option<()> {
    let is_plain = tables::cell(source, destination).is_mutual(source)
        && source.slot() != destination.slot()
        && packet.len() <= settings::direct_mtu()
        && packet.segments() == 1;
    if !is_plain {
        return None;
    }
    count::relayed(source, destination, (1, packet.len().into())).ok()
}
