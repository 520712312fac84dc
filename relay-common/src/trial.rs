//! A candidate policy that is tried beside the one in force: what both make of a packet, and what is
//! counted where they differ.
//!
//! What becomes of a packet is a number of [`probe::encode`].

use bytemuck::{Pod, Zeroable};

use crate::{
    event::HEAD_LEN,
    flow::{Packet, Side},
    probe,
    verdict::Verdict,
};

/// Most differences that are counted apart.
pub const MAX_DIFFERENCES: u32 = 1 << 14;

/// A [`decision`] about a packet that is relayed, whatever its flow.
pub const RELAYED: u32 = probe::encode(Ok(Verdict::Relay));
/// None.
pub const UNDECIDED: u32 = 0;

/// What both policies make of the packet that a processor decides about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct Tried {
    /// [`decision`] of the candidate, or [`UNDECIDED`].
    pub candidate: u32,
    /// The same of the policy in force.
    pub in_force: u32,
}

/// What differs between the two policies, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct DifferenceKey {
    /// Slot of the sender; 0 if no peer owns the address.
    pub source: u32,
    /// Slot of the receiver; 0 if no peer owns the address.
    pub destination: u32,
    /// Index of a [`crate::service`].
    pub service: u32,
    /// What becomes of the packet by the policy in force.
    pub in_force: u16,
    /// What would become of it by the candidate.
    pub candidate: u16,
}

/// Packets of which the candidate makes something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Difference {
    /// Packets, counted as in [`crate::PeerCounters`].
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first one came, nanoseconds of the boot clock.
    pub first_ns: u64,
    /// When the latest one came.
    pub last_ns: u64,
    /// The first one from its IP header on, as it leaves; zeros behind its end.
    pub head: [u8; HEAD_LEN as usize],
}

const _: () = assert!(size_of::<Tried>() == 8);
const _: () = assert!(size_of::<DifferenceKey>() == 16 && size_of::<Difference>() == 96);

impl DifferenceKey {
    /// The key of what has no place of its own.
    pub const OTHERS: Self = Self {
        source: u32::MAX,
        destination: u32::MAX,
        service: u32::MAX,
        in_force: 0,
        candidate: 0,
    };
}

/// Bits of a [`decision`]: the packet is from the side that began its flow, or from the other one.
pub(crate) const BEGINS: u32 = 1 << 16;
pub(crate) const ANSWERS: u32 = 1 << 17;

/// What becomes of a packet, and the side of its flow that it comes from, if it has one.
#[inline(always)]
pub const fn decision(outcome: u32, side: Side) -> u32 {
    match side {
        Side::Beginner => outcome | BEGINS,
        Side::Answerer => outcome | ANSWERS,
    }
}

/// What becomes of the packet, of a [`decision`].
#[inline(always)]
pub const fn outcome(decision: u32) -> u32 {
    decision & 0xffff
}

/// Whether two decisions let different packets through, or to another place. That both drop it, for
/// whatever reason, is no difference; nor is it one if either has not decided.
#[inline(always)]
pub const fn differs(tried: Tried) -> bool {
    let (one, other) = (outcome(tried.in_force), outcome(tried.candidate));
    one != other
        && one != UNDECIDED
        && other != UNDECIDED
        && (!probe::is_dropped(one) || !probe::is_dropped(other))
}

/// The service that a packet belongs to. A packet that opens a connection asks for its destination
/// port, and one that accepts it answers from its source port. For others the flow tells, if either
/// policy has one; if not, it is the lower port.
#[inline(always)]
pub fn service(packet: &Packet, tried: Tried) -> u32 {
    let sides = tried.in_force | tried.candidate;
    if packet.accepts() || sides & ANSWERS != 0 {
        return packet.answered;
    }
    // A packet that cannot be an answer has the highest number there.
    if sides & BEGINS != 0 || packet.asked < packet.answered {
        return packet.asked;
    }
    packet.answered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Reason,
        flow::{NO_SERVICE, tcp},
        header::{Headers, Ipv4Header},
        service::{ECHO, ICMP, TCP},
        transport::Ports,
    };

    const TO_HOST: u32 = probe::encode(Ok(Verdict::ToHost));
    const NO_RULE: u32 = probe::encode(Err(Reason::NoRule));
    const RATE: u32 = probe::encode(Err(Reason::Rate));

    const UNKNOWN: Tried = Tried { candidate: RELAYED, in_force: NO_RULE };

    fn segment(source: u16, destination: u16, flags: u8) -> Packet {
        let headers = Headers::V4(Ipv4Header::new([0x45, 0, 0, 1, 2]));
        let is_opening = flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
        Packet {
            key: crate::flow::Key::of(&headers, Ports { source, destination }, 6),
            asked: TCP + u32::from(destination),
            answered: if is_opening { NO_SERVICE } else { TCP + u32::from(source) },
            flags,
            source: 1,
            destination: 2,
        }
    }

    #[test]
    fn who_gets_through_and_where_to_is_a_difference_and_another_reason_none() {
        let differ = |in_force, candidate| differs(Tried { candidate, in_force });
        for (one, other) in [(RELAYED, NO_RULE), (RELAYED, TO_HOST), (TO_HOST, RATE)] {
            assert!(differ(one, other) && differ(other, one));
            assert!(!differ(one, one) && !differ(one, 0) && !differ(0, one));
        }
        assert!(!differ(RATE, NO_RULE));
        assert!(!differ(decision(RELAYED, Side::Answerer), RELAYED));
    }

    #[test]
    fn a_connection_has_the_port_of_the_side_that_accepts_it() {
        let [ssh, high] = [22, 40_000];
        assert_eq!(service(&segment(ssh, high, tcp::SYN), UNKNOWN), TCP + 40_000);
        assert_eq!(service(&segment(high, ssh, tcp::SYN | tcp::ACK), UNKNOWN), TCP + 40_000);
        for (source, destination) in [(ssh, high), (high, ssh)] {
            assert_eq!(service(&segment(source, destination, tcp::ACK), UNKNOWN), TCP + 22);
        }
    }

    #[test]
    fn the_flow_of_either_policy_tells_which_side_answers() {
        let packet = segment(40_000, 22, tcp::ACK);
        for (side, port) in [(Side::Answerer, 40_000), (Side::Beginner, 22)] {
            let known = decision(RELAYED, side);
            assert_eq!(service(&packet, Tried { candidate: known, ..UNKNOWN }), TCP + port);
            let known = Tried { candidate: NO_RULE, in_force: known };
            assert_eq!(service(&packet, known), TCP + port);
        }
    }

    #[test]
    fn echoes_and_their_replies_are_one_service() {
        let (request, reply) = ([ECHO, NO_SERVICE], [ICMP, ECHO]);
        for [asked, answered] in [request, reply] {
            let packet = Packet { asked, answered, ..segment(7, 7, 0) };
            assert_eq!(service(&packet, UNKNOWN), ECHO);
        }
        let other = Packet { asked: ICMP, answered: NO_SERVICE, ..segment(7, 7, 0) };
        assert_eq!(service(&other, UNKNOWN), ICMP);
    }
}
