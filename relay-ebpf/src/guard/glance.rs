//! Fast path for the common cases: a data message in a frame without tags, options or extension
//! headers, or a frame that is not for the relay.
//!
//! Adjacent fields are compared as one word. The kernel checks the length in the UDP header of a data
//! message.

use core::arch::asm;

use relay_common::{
    guard::{DATA, DATA_LEN_MIN, is_sample},
    header::{PLAIN_IPV4, protocol},
    names::NO_PORT,
};

use crate::{
    frame::{Frame, Head},
    network::{ETHERNET_LEN, IPV6_LEN, UDP_LEN},
    settings,
};

/// Result of the fast path.
pub enum Glance {
    /// A data message that does not update its flow.
    Data,
    /// Not for the relay's port.
    Foreign,
    /// Undecided.
    Unclear,
}

/// EtherType, version and header length, and their bits of the word.
const V4: (u32, u32) = (word([0x08, 0, PLAIN_IPV4, 0]), word([0xff, 0xff, 0xff, 0]));
/// EtherType and version, and their bits, which are some of [`V4`]'s.
const V6: (u32, u32) = (word([0x86, 0xdd, 0x60, 0]), word([0xff, 0xff, 0xf0, 0]));
/// IPv4 fragment offset, "more fragments" and protocol; the TTL between them is masked out.
const WHOLE_UDP: (u32, u32) = (word([0, 0, 0, protocol::UDP]), word([0x3f, 0xff, 0, 0xff]));

/// Length of the shortest frame with a data message in IPv6, bytes. In IPv4 only the frame of a
/// keepalive is shorter.
const SHORTEST: usize = ETHERNET_LEN + IPV6_LEN + UDP_LEN + DATA_LEN_MIN as usize;

/// Classifies a frame.
#[inline(always)]
pub fn at(frame: &Frame<'_>) -> Glance {
    let Some(head): Option<Head<SHORTEST>> = frame.head() else { return short(frame) };
    let kind = masked::<{ V4.1 }>(head.u32::<12>());
    if kind == V4.0.into() {
        if masked::<{ WHOLE_UDP.1 }>(head.u32::<20>()) != WHOLE_UDP.0.into() {
            return if head.u8::<23>() == protocol::UDP {
                Glance::Unclear
            } else {
                Glance::Foreign
            };
        }
        if u32::from(head.u16::<36>()) != settings::port() {
            return Glance::Foreign;
        }
        let [overlay, mask] = settings::overlay_v4();
        if inside(head.u32::<26>(), mask) == overlay.into() {
            return Glance::Unclear;
        }
        let packet_len = usize::from(u16::from_be(head.u16_late::<16>()));
        if !frame.is_long(ETHERNET_LEN + packet_len) {
            return Glance::Unclear;
        }
        return message(head.u32::<42>(), head.u8::<50>());
    }
    if kind & u64::from(V6.1) != V6.0.into() || head.u8::<20>() != protocol::UDP {
        return Glance::Unclear;
    }
    if u32::from(head.u16::<56>()) != settings::port_v6() {
        return if settings::port_v6() == NO_PORT { Glance::Unclear } else { Glance::Foreign };
    }
    let len = ETHERNET_LEN + IPV6_LEN + usize::from(u16::from_be(head.u16::<18>()));
    if head.u32::<22>() == settings::overlay_v6() || !frame.is_long(len) {
        return Glance::Unclear;
    }
    message(head.u32::<62>(), head.u8::<70>())
}

/// Classifies a frame too short for data, such as a TCP acknowledgement.
#[inline(always)]
fn short(frame: &Frame<'_>) -> Glance {
    let Some(head): Option<Head<38>> = frame.head() else { return Glance::Unclear };
    let is_v4 = head.u32::<12>() & V4.1 == V4.0;
    if is_v4 && head.u8::<23>() != protocol::UDP { Glance::Foreign } else { Glance::Unclear }
}

/// Classifies a message by the word of its type and the lowest byte of its counter. The frame is long
/// enough for data and contains nothing else.
#[inline(always)]
fn message(first: u32, counter: u8) -> Glance {
    if u32::from_le(first) == DATA && !is_sample(counter.into()) {
        Glance::Data
    } else {
        Glance::Unclear
    }
}

/// Masks a word in its register. The compiler would use a second one: for a mask with its highest bit
/// set, which fits the instruction as a negative number, and for a word that is masked again.
#[inline(always)]
fn masked<const MASK: u32>(word: u32) -> u64 {
    let mut masked = u64::from(word);
    // SAFETY: changes a register.
    unsafe { asm!("{0} &= {mask}", inout(reg) masked, mask = const MASK.cast_signed()) };
    masked
}

/// Masks an address. The compiler would clear the upper half again.
#[inline(always)]
fn inside(address: u32, mask: u32) -> u64 {
    let mut inside = u64::from(address);
    // SAFETY: changes a register.
    unsafe { asm!("{0} &= {1}", inout(reg) inside, in(reg) u64::from(mask)) };
    inside
}

/// A word from bytes in memory order.
const fn word(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}
