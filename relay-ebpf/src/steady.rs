//! Fast path for the packets of a flow: a single TCP segment or UDP datagram of a flow that is
//! answered, closes nothing, and was judged in this generation. It makes the same decision as
//! [`crate::ruled`], and leaves every other packet to it, unchanged.

use aya_ebpf::programs::TcContext;
use relay_common::{
    Leaf,
    flow::{Flows as _, Key, Side, steady, tcp},
    header::{Headers, Ipv4Header, Ipv6Header, protocol},
    transport::Ports,
};

use crate::{count, flows::Kernel, packet::Packet, settings, tables};

/// Relays a packet between these leaves, whose IP header [`crate::direct`] has checked; or leaves it
/// unchanged.
#[inline(never)]
pub fn relay(ctx: TcContext, source: &Leaf, destination: &Leaf) -> bool {
    let packet = Packet::new(&ctx);
    if packet.len() > settings::direct_mtu() || packet.segments() != 1 {
        return false;
    }
    relay_v4(&packet, source, destination).is_some()
        || relay_v6(&packet, source, destination).is_some()
}

#[inline(always)]
fn relay_v4(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Option<()> {
    let [a, b, c, d, e, ports, _] = packet.linear::<[u32; 7]>()?.copy();
    let header = Ipv4Header::new([a, b, c, d, e]);
    if !header.is_plain() || header.is_fragment() {
        return None;
    }
    if header.protocol() == protocol::TCP {
        let [.., flags] = packet.linear::<[u32; 9]>()?.copy();
        let [_, flags, ..] = flags.to_ne_bytes();
        goes_on(flags)?;
    } else if header.protocol() != protocol::UDP {
        return None;
    }
    account(packet, [source, destination], &Headers::V4(header), header.protocol(), ports)?;
    packet.linear::<[u32; 5]>()?.store_ttl_word(header.decremented());
    Some(())
}

#[inline(always)]
fn relay_v6(packet: &Packet<'_>, source: &Leaf, destination: &Leaf) -> Option<()> {
    let [a, b, c, d, e, first] = packet.linear::<[u64; 6]>()?.copy();
    let header = Ipv6Header::new([a, b, c, d, e]);
    if !header.is_v6() {
        return None;
    }
    if header.next_header() == protocol::TCP {
        let [.., last] = packet.linear::<[u64; 7]>()?.copy();
        let [_, _, _, _, _, flags, ..] = last.to_ne_bytes();
        goes_on(flags)?;
    } else if header.next_header() != protocol::UDP {
        return None;
    }
    let [p, q, r, s, ..] = first.to_ne_bytes();
    let ports = u32::from_ne_bytes([p, q, r, s]);
    account(packet, [source, destination], &Headers::V6(header), header.next_header(), ports)?;
    packet.linear::<[u64; 5]>()?.store_hop_limit(header.hop_limit() - 1);
    Some(())
}

/// Whether the flags of a segment neither open nor close a connection.
#[inline(always)]
fn goes_on(flags: u8) -> Option<()> {
    (flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0).then_some(())
}

/// Counts the packet, if the fast path relays it. `ports` are both, in memory order.
#[inline(always)]
fn account(
    packet: &Packet<'_>,
    [source, destination]: [&Leaf; 2],
    headers: &Headers,
    protocol: u8,
    ports: u32,
) -> Option<()> {
    let directions = tables::directions(source, destination);
    let [a, b, c, d] = ports.to_ne_bytes();
    let ports =
        Ports { source: u16::from_be_bytes([a, b]), destination: u16::from_be_bytes([c, d]) };
    let kernel = Kernel::new(settings::features(), false);
    let now_ns = kernel.now_ns();
    let key = Key::of(headers, ports, protocol);
    let flow = |side| {
        let beginner = if side == Side::Beginner { source } else { destination };
        steady(&kernel, &key.from(side), side, beginner.slot(), now_ns)
    };
    let flow = if directions.forward == 0 {
        flow(Side::Answerer)
    } else if directions.backward == 0 {
        flow(Side::Beginner)
    } else {
        flow(Side::Answerer).or_else(|| flow(Side::Beginner))
    }?;
    let counted = (1, packet.len().into());
    count::relayed(source, destination, counted).ok()?;
    count::ruled(flow.rule(), Some(flow), counted);
    Some(())
}
