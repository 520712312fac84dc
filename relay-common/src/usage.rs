//! What peers use of each other: the services that one of them began, and how much went over them.
//!
//! No flow is followed. A packet belongs to a use that is there already, as the beginner's packet or
//! as an answer; if none is, the packet tells who began.

use bytemuck::{Pod, Zeroable};

use crate::{
    flow::{NO_SERVICE, Packet},
    service,
    trial::{ANSWERS, BEGINS},
};

/// Most services that are kept, of all peers.
pub const MAX_SERVICES: u64 = 1 << 16;
/// Most services that are kept because of the packets of one peer.
pub const MAX_SERVICES_OF_A_PEER: u64 = 1 << 10;
/// Most uses that are kept: beside services, pairs of peers that have used more of them.
pub const MAX_USES: u32 = 1 << 17;
/// Most peers whose services are counted, and the sum of all.
pub const MAX_HOLDERS: u32 = 1 << 17;

/// Service of a pair that has used more services than are kept, or one that cannot be read.
pub const OTHERS: u32 = NO_SERVICE;

/// Slot under which the services of all peers are counted.
pub const ALL_PEERS: u32 = crate::counters::UNATTRIBUTED_SLOT;

/// How long after learning began a datagram may belong to a flow that is older, nanoseconds.
const UNCERTAIN_NS: u64 = 180_000_000_000;

/// Ports from here on are those of clients rather than of services
/// (Documentation/networking/ip-sysctl.rst, 6.12: `ip_local_port_range`).
const FIRST_OF_CLIENTS: u32 = 32_768;

/// Who used what of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct UseKey {
    /// Slot of the peer that began.
    pub beginner: u32,
    /// Slot of the other peer.
    pub other: u32,
    /// Index of a [`crate::service`], or [`OTHERS`].
    pub service: u32,
}

/// How much one was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Use {
    /// Packets in both directions, counted as in [`crate::PeerCounters`].
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of the packets that answer.
    pub answers: u64,
    /// When the first one came, nanoseconds of the boot clock.
    pub first_ns: u64,
    /// When the latest one came.
    pub last_ns: u64,
    /// Slot of the peer whose packet was the first.
    pub holder: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<UseKey>() == 12 && size_of::<Use>() == 48);

impl UseKey {
    /// What has no place at all. Its first time is when learning began, its last one when that ended.
    pub const LOST: Self = Self { beginner: 0, other: 0, service: OTHERS };

    /// The use of a packet if its sender began.
    #[inline(always)]
    pub const fn asked(packet: &Packet) -> Self {
        Self { beginner: packet.source, other: packet.destination, service: packet.asked }
    }

    /// The use of a packet if it is an answer.
    #[inline(always)]
    pub const fn answered(packet: &Packet) -> Self {
        Self { beginner: packet.destination, other: packet.source, service: packet.answered }
    }

    /// The use of a pair of peers by whatever has no place of its own.
    #[inline(always)]
    pub const fn of_pair(source: u32, destination: u32) -> Self {
        Self { beginner: source, other: destination, service: OTHERS }
    }
}

/// What is kept of uses.
pub trait Uses {
    /// The place of a use.
    type Place;

    /// The place of a use that is there.
    fn find(&self, key: &UseKey) -> Option<Self::Place>;

    /// The place of another one, which the packet of this slot is the first of.
    fn begin(&self, key: &UseKey, holder: u32) -> Option<Self::Place>;

    /// How long ago learning began, nanoseconds.
    fn age_ns(&self) -> u64;
}

/// The place of the use that a packet belongs to, and whether it is an answer. `side` has the bits of
/// a [`crate::trial::decision`] about it.
#[inline(always)]
pub fn place<U: Uses>(uses: &U, packet: &Packet, side: u32) -> Option<(U::Place, bool)> {
    let (asked, answered) = (UseKey::asked(packet), UseKey::answered(packet));
    // The likelier one first.
    if seems_to_answer(packet)
        && let Some(found) = uses.find(&answered)
    {
        return Some((found, true));
    }
    let may_ask = packet.answered != service::ECHO;
    if may_ask && let Some(found) = uses.find(&asked) {
        return Some((found, false));
    }
    if !seems_to_answer(packet)
        && packet.answered != NO_SERVICE
        && let Some(found) = uses.find(&answered)
    {
        return Some((found, true));
    }
    let is_answer = answers(packet, side, uses.age_ns());
    let key = if is_answer { answered } else { asked };
    Some((uses.begin(&key, packet.source)?, is_answer))
}

/// Whether a packet rather answers than asks: the lower one of two ports is that of a service.
#[inline(always)]
const fn seems_to_answer(packet: &Packet) -> bool {
    packet.answered < packet.asked
}

/// Whether a packet answers, of a use that is not there yet.
///
/// A SYN without ACK begins, and with ACK answers. Of another segment the flow tells, or else the
/// lower port. The first datagram begins a flow, unless it may be older than learning: then a port of
/// clients is told from one that is not.
#[inline(always)]
const fn answers(packet: &Packet, side: u32, age_ns: u64) -> bool {
    let &Packet { asked, answered, .. } = packet;
    if answered == NO_SERVICE || side & BEGINS != 0 {
        return false;
    }
    if side & ANSWERS != 0 || answered == service::ECHO {
        return true;
    }
    if asked < service::UDP {
        return packet.accepts() || seems_to_answer(packet);
    }
    if asked >= service::PROTOCOL || age_ns >= UNCERTAIN_NS {
        return false;
    }
    const FIRST: u32 = service::UDP + FIRST_OF_CLIENTS;
    asked >= FIRST && answered < FIRST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flow::{Key, tcp},
        header::{Headers, Ipv4Header},
        service::{ECHO, ICMP, PROTOCOL, TCP, UDP},
        transport::Ports,
    };

    fn packet(asked: u32, answered: u32, flags: u8) -> Packet {
        let headers = Headers::V4(Ipv4Header::new([0x45, 0, 0, 1, 2]));
        let key = Key::of(&headers, Ports { source: 0, destination: 0 }, 6);
        Packet { key, asked, answered, flags, source: 1, destination: 2 }
    }

    #[test]
    fn both_sides_of_a_flow_have_one_key() {
        let request = packet(TCP + 22, TCP + 40_000, tcp::ACK);
        let answer =
            Packet { source: 2, destination: 1, ..packet(TCP + 40_000, TCP + 22, tcp::ACK) };
        assert_eq!(UseKey::asked(&request), UseKey::answered(&answer));
        assert_eq!(UseKey::asked(&answer), UseKey::answered(&request));
        assert!(seems_to_answer(&answer) && !seems_to_answer(&request));
    }

    #[test]
    fn a_segment_that_opens_tells_who_began_whatever_the_ports() {
        for [asked, answered] in [[TCP + 22, TCP + 40_000], [TCP + 40_000, TCP + 22]] {
            assert!(!answers(&packet(asked, NO_SERVICE, tcp::SYN), ANSWERS, 0));
            assert!(answers(&packet(asked, answered, tcp::SYN | tcp::ACK), 0, 0));
        }
    }

    #[test]
    fn of_an_older_connection_the_flow_tells_or_else_the_lower_port() {
        for flags in [tcp::ACK, tcp::RST, tcp::FIN | tcp::ACK] {
            let request = packet(TCP + 22, TCP + 40_000, flags);
            let answer = packet(TCP + 40_000, TCP + 22, flags);
            assert!(!answers(&request, 0, u64::MAX) && answers(&answer, 0, u64::MAX));
            assert!(answers(&request, ANSWERS, 0) && !answers(&answer, BEGINS, 0));
        }
    }

    #[test]
    fn the_first_datagram_begins_unless_its_flow_may_be_older_and_ports_tell() {
        let answer = packet(UDP + 40_000, UDP + 53, 0);
        assert!(answers(&answer, 0, UNCERTAIN_NS - 1));
        assert!(!answers(&answer, 0, UNCERTAIN_NS));
        for (source, destination) in [(40_000, 53), (53, 54), (54, 53), (50_000, 40_000)] {
            assert!(!answers(&packet(UDP + destination, UDP + source, 0), 0, 0));
        }
    }

    #[test]
    fn an_echo_is_begun_by_its_request_and_another_protocol_by_its_first_packet() {
        assert!(!answers(&packet(ECHO, NO_SERVICE, 0), 0, 0));
        assert!(answers(&packet(ICMP, ECHO, 0), 0, 0));
        assert!(!answers(&packet(ICMP, NO_SERVICE, 0), 0, 0));
        assert!(!answers(&packet(PROTOCOL + 132, PROTOCOL + 132, 0), 0, 0));
    }
}
