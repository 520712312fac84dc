//! Fast path for the packets of a flow: a single TCP segment or UDP datagram of a flow that is
//! answered, closes nothing, and was judged in this generation. It makes the same decision as
//! [`crate::ruled`], and leaves every other packet to it, unchanged.

use aya_ebpf::programs::TcContext;
use relay_common::{
    Leaf,
    flow::{Key, Side, State, steady, tcp},
    header::{Headers, Ipv4Header, Ipv6Header, protocol},
    transport::Ports,
    trial,
};

use crate::{
    count,
    flows::Kernel,
    home, limits,
    packet::Packet,
    tables::{Place, opaque},
    tried::{self, TRIAL},
};

/// Relays a packet between these leaves, of which [`crate::direct`] has checked that it is a single one
/// and its IP header; or leaves it unchanged. Of a pair with limits the packet is charged. For a trial
/// it only tells whether it would.
#[inline(never)]
pub fn relay_v4<const LIMITED: bool, const ROLE: u32, const MESHED: bool>(
    ctx: TcContext,
    source: &Leaf,
    destination: &Leaf,
    place: Place,
) -> bool {
    let ctx = if ROLE == TRIAL { whole(ctx) } else { ctx };
    let packet = Packet::new(&ctx);
    let relayed = || {
        let words = packet.linear::<[u32; 7]>()?;
        let headers = || {
            let [a, b, c, d, e, ports, _] = words.anew().copy();
            (Ipv4Header::new([a, b, c, d, e]), read(ports))
        };
        let (header, _) = headers();
        if header.is_fragment() {
            return None;
        }
        let lifetime = match header.protocol() {
            protocol::TCP => {
                let [.., flags, _] = packet.linear::<[u32; 10]>()?.copy();
                let [_, flags, ..] = flags.to_ne_bytes();
                goes_on(flags)?
            }
            protocol::UDP => DATAGRAM,
            _ => return None,
        };
        let key = || {
            let (header, ports) = headers();
            Key::of(&Headers::V4(header), ports, header.protocol())
        };
        account::<LIMITED, ROLE, MESHED>(&packet, key, [source, destination], place, lifetime)?;
        if ROLE != TRIAL {
            words.head().store_ttl_word(headers().0.decremented());
        }
        Some(())
    };
    relayed().is_some()
}

/// The same for IPv6.
#[inline(never)]
pub fn relay_v6<const LIMITED: bool, const ROLE: u32, const MESHED: bool>(
    ctx: TcContext,
    source: &Leaf,
    destination: &Leaf,
    place: Place,
) -> bool {
    let ctx = if ROLE == TRIAL { whole(ctx) } else { ctx };
    let packet = Packet::new(&ctx);
    let relayed = || {
        let words = packet.linear::<[u64; 6]>()?;
        let headers = || {
            let [a, b, c, d, e, first] = words.anew().copy();
            let [p, q, r, s, ..] = first.to_ne_bytes();
            (Ipv6Header::new([a, b, c, d, e]), read(u32::from_ne_bytes([p, q, r, s])))
        };
        let lifetime = match headers().0.next_header() {
            protocol::TCP => {
                let [.., flags, _] = packet.linear::<[u32; 15]>()?.copy();
                let [_, flags, ..] = flags.to_ne_bytes();
                goes_on(flags)?
            }
            protocol::UDP => DATAGRAM,
            _ => return None,
        };
        let key = || {
            let (header, ports) = headers();
            Key::of(&Headers::V6(header), ports, header.next_header())
        };
        account::<LIMITED, ROLE, MESHED>(&packet, key, [source, destination], place, lifetime)?;
        if ROLE != TRIAL {
            words.head().store_hop_limit(headers().0.hop_limit() - 1);
        }
        Some(())
    };
    relayed().is_some()
}

/// The same context.
///
/// VERIFIER: to a function that only reads it, the compiler hands over what it reads instead, and
/// computes with the pointers: 6.18 reports "pointer arithmetic on pkt_end prohibited".
#[inline(always)]
fn whole(ctx: TcContext) -> TcContext {
    TcContext::new(opaque(ctx.skb.skb as u64) as *mut _)
}

/// How long a packet of the beginner keeps a flow.
const SEGMENT: u32 = State::STEADY.lifetime(protocol::TCP);
const DATAGRAM: u32 = State::STEADY.lifetime(protocol::UDP);

/// The same for a segment, if its flags neither open nor close a connection.
#[inline(always)]
fn goes_on(flags: u8) -> Option<u32> {
    (flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0).then_some(SEGMENT)
}

/// Both ports, from memory order.
#[inline(always)]
fn read(ports: u32) -> Ports {
    let [a, b, c, d] = ports.to_ne_bytes();
    Ports { source: u16::from_be_bytes([a, b]), destination: u16::from_be_bytes([c, d]) }
}

/// Counts the packet, if it is one of a flow.
#[inline(always)]
fn account<const LIMITED: bool, const ROLE: u32, const MESHED: bool>(
    packet: &Packet<'_>,
    key: impl Fn() -> Key,
    [source, destination]: [&Leaf; 2],
    place: Place,
    lifetime: u32,
) -> Option<()> {
    let kernel = Kernel::new(false);
    let mut flow = None;
    let mut side = Side::Answerer;
    if place.directions().backward != 0 {
        flow = steady(&kernel, &key().answered(), Side::Answerer, destination.slot(), lifetime);
    }
    // Without asking whether the source may begin something: if not, it has no flow of this generation.
    if flow.is_none() {
        side = Side::Beginner;
        flow = steady(&kernel, &key(), Side::Beginner, source.slot(), lifetime);
    }
    let flow = flow?;
    let [from, to] = home::routed::<MESHED>(packet, source.slot(), destination.slot())?;
    if LIMITED {
        let (from, to) = (source.slot().into(), destination.slot().into());
        if limits::pass(from, to, packet.len().into()) == 0 {
            return None;
        }
    }
    let relayed = || trial::decision(trial::RELAYED, side);
    if ROLE == TRIAL {
        tried::leave(relayed());
        return Some(());
    }
    if tried::leaves(ROLE) {
        tried::decided(relayed());
    }
    let counted = (1, packet.len().into());
    count::between(from, to, counted).ok()?;
    count::ruled(flow.rule(), Some(flow), counted);
    Some(())
}
