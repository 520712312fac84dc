//! What peers use of each other, counted while it is learnt.

use aya_ebpf::programs::TcContext;
use relay_common::{
    flow::{self, tcp},
    header::{Ipv4Header, Ipv6Header, protocol},
    payload::Payload,
    service,
    transport::Transport,
    trial::{self, RELAYED, UNDECIDED},
    usage::{self, ALL_PEERS, MAX_SERVICES, MAX_SERVICES_OF_A_PEER, OTHERS, Use, UseKey, Uses},
};

use crate::{
    again, clock, count, maps,
    packet::Packet,
    part::Part,
    policy,
    tables::{RangeV4, RangeV6},
};

/// Counts the packet as part of a use, if it is relayed between peers: by what is left of the decision,
/// or else by this.
#[inline(always)]
pub fn learn(ctx: &TcContext, otherwise: u32) {
    let Some(tried) = maps::tried() else { return };
    let mut decision = tried.in_force;
    // So that it is not taken for that of another packet.
    tried.in_force = UNDECIDED;
    // The relay that it came from has counted it.
    if Packet::new(ctx).transit().is_some() {
        return;
    }
    if decision == UNDECIDED {
        decision = otherwise;
    }
    if trial::outcome(decision) == RELAYED && (read_plain(again(ctx)) || read(again(ctx))) {
        count_read(decision);
    }
}

/// Reads the packet. `false` of an ICMP error, which belongs to what it quotes, and of a later
/// fragment, for which the first one stands.
///
/// VERIFIER: it leaves the packet in a map, as [`crate::ruled`] does: what [`count_read`] finds there
/// is one case. 6.1.176 takes minutes to follow each header through the look-ups.
#[inline(never)]
fn read(ctx: TcContext) -> bool {
    let packet = Packet::new(&ctx);
    maps::part().is_some_and(|part| read_into(&packet, part).is_some())
}

/// Reads a single segment or datagram without options or extension headers, between addresses in the
/// arrays. `false` leaves it to [`read`]: a helper call a field costs as much as a look-up.
#[inline(never)]
fn read_plain(ctx: TcContext) -> bool {
    let packet = Packet::new(&ctx);
    maps::part().is_some_and(|part| read_plain_into(&packet, part).is_some())
}

#[inline(always)]
fn read_plain_into(packet: &Packet<'_>, part: &mut Part) -> Option<()> {
    if !packet.is_single() {
        return None;
    }
    let words = packet.linear::<[u32; 7]>()?.copy();
    let header = Ipv4Header::new([words[0], words[1], words[2], words[3], words[4]]);
    let (source, destination, protocol, ports);
    let mut flags = 0;
    if header.is_plain() {
        if header.is_fragment() {
            return None;
        }
        let range = RangeV4::read();
        source = range.leaf(header.source())?;
        destination = range.leaf(header.destination())?;
        (protocol, ports) = (header.protocol(), words[5]);
        if protocol == protocol::TCP {
            let [.., word, _] = packet.linear::<[u32; 10]>()?.copy();
            [_, flags, ..] = word.to_ne_bytes();
        }
    } else {
        let [a, b, c, d, e, first] = packet.linear::<[u64; 6]>()?.copy();
        let header = Ipv6Header::new([a, b, c, d, e]);
        header.check(packet.len()).ok()?;
        let range = RangeV6::read();
        source = range.leaf(header.source())?;
        destination = range.leaf(header.destination())?;
        let [p, q, r, s, ..] = first.to_ne_bytes();
        (protocol, ports) = (header.next_header(), u32::from_ne_bytes([p, q, r, s]));
        if protocol == protocol::TCP {
            let [.., word, _] = packet.linear::<[u32; 15]>()?.copy();
            [_, flags, ..] = word.to_ne_bytes();
        }
    }
    let first = match protocol {
        protocol::TCP => service::TCP,
        protocol::UDP => service::UDP,
        _ => return None,
    };
    let [a, b, c, d] = ports.to_ne_bytes();
    let begins = flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
    let answered = first + u32::from(u16::from_be_bytes([a, b]));
    part.packet.asked = first + u32::from(u16::from_be_bytes([c, d]));
    part.packet.answered = if begins { flow::NO_SERVICE } else { answered };
    part.packet.flags = flags;
    part.packet.source = source.counted_slot();
    part.packet.destination = destination.counted_slot();
    part.on_the_wire = (1, packet.len().into());
    Some(())
}

#[inline(always)]
fn read_into(packet: &Packet<'_>, part: &mut Part) -> Option<()> {
    let headers = packet.headers().ok()?;
    let transport = Transport::find(&headers, packet).ok()?;
    if transport.is_later_fragment {
        return None;
    }
    let (source, destination) = policy::leaves(&headers);
    let slots = [source.counted_slot(), destination.counted_slot()];
    part.packet = flow::Packet::read(&headers, &transport, packet, slots);
    part.on_the_wire = packet.on_the_wire(&transport);
    let Part { packet: flow::Packet { asked, answered, .. }, .. } = *part;
    let is_message = asked == service::ICMP && answered == flow::NO_SERVICE;
    let is_error = is_message && service::is_error(&Payload::read(&headers, &transport, packet));
    (!is_error).then_some(())
}

/// Counts what was read.
#[inline(never)]
fn count_read(decision: u32) {
    let Some(part) = maps::part() else { return };
    let Part { packet, on_the_wire: (packets, bytes) } = part;
    let Some((place, answers)) = usage::place(&Kernel, packet, decision) else { return };
    // SAFETY: points into a map value, which lives as long as the program.
    unsafe {
        count::add(&raw mut (*place).packets, *packets);
        count::add(&raw mut (*place).bytes, *bytes);
        if answers {
            count::add(&raw mut (*place).answers, *packets);
        }
        (*place).last_ns = clock::recent_ns();
    }
}

/// The maps.
struct Kernel;

impl Uses for Kernel {
    type Place = *mut Use;

    #[inline(always)]
    fn find(&self, key: &UseKey) -> Option<*mut Use> {
        maps::used(key)
    }

    #[inline(always)]
    fn begin(&self, key: &UseKey, holder: u32) -> Option<*mut Use> {
        begin(key, holder)
    }

    #[inline(always)]
    fn age_ns(&self) -> u64 {
        // SAFETY: points into a map value.
        let since = maps::used(&UseKey::LOST).map_or(0, |lost| unsafe { (*lost).first_ns });
        clock::boot_ns().saturating_sub(since)
    }
}

/// A place for a use that is not there: its own, or that of its pair, or the last one.
#[inline(never)]
fn begin(key: &UseKey, holder: u32) -> Option<*mut Use> {
    let now = clock::boot_ns();
    let has_room = || {
        let (of_peer, of_all) = (maps::held_by(holder)?, maps::held_by(ALL_PEERS)?);
        // SAFETY: both point into map values. Several processors may take the last place.
        let room = unsafe { *of_peer < MAX_SERVICES_OF_A_PEER && *of_all < MAX_SERVICES };
        room.then_some([of_peer, of_all])
    };
    if key.service != OTHERS
        && let Some([of_peer, of_all]) = has_room()
    {
        if maps::add_use(key, now, holder) {
            // SAFETY: as above.
            unsafe {
                count::add(of_peer, 1);
                count::add(of_all, 1);
            }
        }
        if let Some(place) = maps::used(key) {
            return Some(place);
        }
    }
    let pair = UseKey::of_pair(key.beginner, key.other);
    if maps::used(&pair).is_none() {
        maps::add_use(&pair, now, holder);
    }
    maps::used(&pair).or_else(|| maps::used(&UseKey::LOST))
}
