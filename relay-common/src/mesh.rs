//! Peers that may be at home at other relays: where they are, and what crosses between relays.

use bytemuck::{Pod, Zeroable};

use crate::{
    bytes::Bytes,
    extension,
    header::{Headers, IPV6_LEN, protocol},
};

/// The relay at which a peer is at home, as a word that is read and written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Index of the transit interface that leads there; 0 if it is this relay, or unknown.
    pub interface: u32,
    /// Slot of that relay.
    pub slot: u32,
}

impl Home {
    /// No relay knows the peer yet: it is treated as one that is at home here.
    pub const UNKNOWN: Self = Self { interface: 0, slot: 0 };

    /// This relay.
    pub const HERE: Self = Self { interface: 0, slot: u32::MAX };

    /// From its word.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    pub const fn from_word(word: u64) -> Self {
        Self { interface: word as u32, slot: (word >> 32) as u32 }
    }

    /// Its word: the slot in the upper half.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        (self.slot as u64) << 32 | self.interface as u64
    }

    /// Whether it is another relay.
    #[inline(always)]
    pub const fn is_elsewhere(self) -> bool {
        self.interface != 0
    }
}

/// Bytes of the ring of moves, a power of two and whole pages. One takes 16 of them.
pub const MOVES_LEN: u32 = 1 << 16;

/// UDP port on which the relays of a mesh gossip, within the transit tunnels.
pub const GOSSIP_PORT: u16 = 7946;

/// What a relay tells the others about a peer that is at home there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Claim {
    /// Address of the peer's endpoint in network byte order, of IPv4 as an IPv4-mapped one.
    pub address: [u8; 16],
    /// Latest handshake, seconds since 1970-01-01.
    pub handshake: u64,
    /// Version of the claim: each move has a greater one.
    pub version: u32,
    /// Port of the peer's endpoint, host order; 0 if it has none.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
}

const _: () = assert!(size_of::<Claim>() == 32);

/// Identity of a loaded `relay_transit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Identity {
    /// [`crate::names::ABI_VERSION`] of the loader.
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Hash of settings and program: programs with equal hashes behave alike.
    pub settings_hash: [u8; 16],
}

const _: () = assert!(size_of::<Identity>() == 24);

/// Upper byte of `skb->mark` of a packet on its way from `relay_transit` to `relay_ingress`. The fence
/// drops such a mark, and no probe has it.
///
/// It is the mark because `bpf_redirect` to ingress clears the priority (`____dev_forward_skb()`,
/// include/linux/netdevice.h, 6.12). WireGuard clears the mark of what peers send.
const ARRIVED: u32 = 0x6d00_0000;
/// The other bytes: index of the transit interface.
const INTERFACE: u32 = 0x00ff_ffff;

const _: () = assert!(ARRIVED & !crate::names::PASSED == ARRIVED);
const _: () = assert!(crate::probe::PROBE & !INTERFACE != ARRIVED);

/// The mark of a packet that arrived on a transit interface; `None` if its index does not fit.
#[inline(always)]
pub const fn arrived_on(interface: u32) -> Option<u32> {
    if interface == 0 || interface > INTERFACE { None } else { Some(ARRIVED | interface) }
}

/// Index of the transit interface of a mark; `None` of any other mark.
#[inline(always)]
pub const fn transit_interface(mark: u32) -> Option<u32> {
    if mark & !INTERFACE == ARRIVED { Some(mark & INTERFACE) } else { None }
}

/// Whether a packet on a transit interface is for the relay itself: from and to addresses of relays,
/// whose upper half this is in host order, and ICMPv6 or gossip. Later fragments of UDP are, since the
/// first one tells what they belong to.
#[inline(always)]
pub fn is_for_relay(packet: &(impl Bytes + ?Sized), transit_high: u64) -> bool {
    let Some(Headers::V6(header)) = Headers::of(packet) else { return false };
    if header.source()[0] != transit_high || header.destination()[0] != transit_high {
        return false;
    }
    match header.next_header() {
        protocol::ICMPV6 => true,
        protocol::UDP => is_gossip(packet, IPV6_LEN),
        protocol::FRAGMENT => {
            let Some(beginning) = packet.read(IPV6_LEN) else { return false };
            match extension::step(protocol::FRAGMENT, beginning) {
                Some((protocol::UDP, len)) => is_gossip(packet, IPV6_LEN + len),
                Some(_) => false,
                None => beginning[0] == protocol::UDP,
            }
        }
        _ => false,
    }
}

/// Whether the UDP header at an offset is one to the port of gossip.
#[inline(always)]
fn is_gossip(packet: &(impl Bytes + ?Sized), at: u32) -> bool {
    let ports: Option<[u16; 2]> = packet.read(at);
    ports.is_some_and(|[_, destination]| u16::from_be(destination) == GOSSIP_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: u64 = 0xfd00_1122_3344_0000;

    /// A packet from ::1 to ::2 of this network with these bytes behind the header.
    fn between_relays(next_header: u8, payload: &[u8]) -> [u8; 64] {
        let mut packet = [0; 64];
        packet[0] = 0x60;
        packet[6] = next_header;
        for (at, low) in [(8, 1u64), (24, 2)] {
            packet[at..at + 8].copy_from_slice(&HIGH.to_be_bytes());
            packet[at + 8..at + 16].copy_from_slice(&low.to_be_bytes());
        }
        packet[40..40 + payload.len()].copy_from_slice(payload);
        packet
    }

    const GOSSIP: [u8; 4] = [0x9c, 0x40, 0x1f, 0x0a];

    #[test]
    fn gossip_and_icmpv6_between_relays_are_for_the_relay() {
        assert!(is_for_relay(&between_relays(17, &GOSSIP)[..], HIGH));
        assert!(is_for_relay(&between_relays(58, &[128, 0])[..], HIGH));
        let other_port = [GOSSIP[2], GOSSIP[3], 0, 22];
        assert!(!is_for_relay(&between_relays(17, &other_port)[..], HIGH));
        assert!(!is_for_relay(&between_relays(6, &GOSSIP)[..], HIGH));
    }

    #[test]
    fn only_between_addresses_of_relays() {
        for at in [8, 24] {
            let mut packet = between_relays(17, &GOSSIP);
            packet[at] ^= 1;
            assert!(!is_for_relay(&packet[..], HIGH), "{at}");
        }
        let mut packet = between_relays(17, &GOSSIP);
        packet[0] = 0x45;
        assert!(!is_for_relay(&packet[..], HIGH));
    }

    #[test]
    fn fragments_of_gossip_are_for_the_relay() {
        let fragment = |next: u8, offset: u8, rest: &[u8]| {
            let mut payload = [0; 16];
            payload[..4].copy_from_slice(&[next, 0, 0, offset]);
            payload[8..8 + rest.len()].copy_from_slice(rest);
            is_for_relay(&between_relays(44, &payload)[..], HIGH)
        };
        assert!(fragment(17, 1, &GOSSIP));
        assert!(fragment(17, 0x50, &[0; 4]));
        assert!(!fragment(17, 1, &[0x1f, 0x0a, 0, 22]));
        assert!(!fragment(6, 0x50, &GOSSIP) && !fragment(58, 1, &[128, 0]));
        // An extension header behind the fragment header is none of gossip.
        assert!(!fragment(60, 1, &GOSSIP));
    }

    #[test]
    fn what_is_cut_off_is_for_nobody() {
        let packet = between_relays(17, &GOSSIP);
        for len in 0..44 {
            assert!(!is_for_relay(&packet[..len], HIGH), "{len}");
        }
    }

    #[test]
    fn a_mark_tells_the_transit_interface_and_no_other_mark_does() {
        for interface in [1, 7, 0x00ff_ffff] {
            let mark = arrived_on(interface).expect("fits");
            assert_eq!(transit_interface(mark), Some(interface));
        }
        assert_eq!(arrived_on(0), None);
        assert_eq!(arrived_on(0x0100_0000), None);
        for mark in [0, 7, crate::names::PASSED, crate::names::ANSWER, crate::probe::PROBE] {
            assert_eq!(transit_interface(mark), None, "{mark:#x}");
        }
    }

    #[test]
    fn a_home_is_its_word() {
        for home in [Home::UNKNOWN, Home::HERE, Home { interface: 9, slot: 4 }] {
            assert_eq!(Home::from_word(home.word()), home);
        }
        assert_eq!(Home::UNKNOWN.word(), 0);
        assert!(!Home::HERE.is_elsewhere() && !Home::UNKNOWN.is_elsewhere());
    }
}
