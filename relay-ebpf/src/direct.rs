//! The short way, for the packets that are nearly all: between two peers that list each other,
//! with addresses in the arrays, plain, and alone. It does what [`crate::ingress`] would do, with
//! the same checks, sooner; what is anything else it leaves to that, untouched.

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

/// Relays the packet, which is to be redirected then, or leaves it as it was.
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

/// Counts the packet, if it is to be relayed at all.
#[inline(always)]
fn account(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Option<()> {
    let is_plain = tables::pair(source, destination).is_mutual(source)
        && source.slot() != destination.slot()
        && packet.len() <= settings::direct_mtu()
        && packet.segments() == 1;
    if !is_plain {
        return None;
    }
    count::relayed(source, destination, (1, packet.len().into())).ok()
}
