//! What nearly every frame is: a data message in a plain frame, or nothing of the relay's.
//!
//! Fields that lie side by side are compared as one word. That a message of data is as long as
//! UDP says is the kernel's to compare.

use core::arch::asm;

use relay_common::{
    guard::{DATA, DATA_LEN_MIN, is_sample},
    header::{PLAIN_IPV4, protocol},
};

use crate::{
    frame::{Frame, Head},
    judge::UDP_LEN,
    network::{ETHERNET_LEN, IPV6_LEN},
    settings,
};

/// What a glance tells of a frame.
pub enum Glance {
    /// A data message that tells nothing of its flow.
    Data,
    /// Not for the relay's port.
    Foreign,
    /// Anything else, and whatever wants a closer look.
    Unclear,
}

/// EtherType, version and header length, as they lie there, and what of that word they are.
const V4: (u32, u32) = (word([0x08, 0, PLAIN_IPV4, 0]), word([0xff, 0xff, 0xff, 0]));
/// EtherType and version.
const V6: (u32, u32) = (word([0x86, 0xdd, 0x60, 0]), word([0xff, 0xff, 0xf0, 0]));
/// Fragment offset, that more follow, and the protocol, of IPv4; between them is the TTL.
const WHOLE_UDP: (u32, u32) = (word([0, 0, 0, protocol::UDP]), word([0x3f, 0xff, 0, 0xff]));

/// Bytes of the shortest frame with a data message in IPv6. In IPv4 no packet of IP makes for a
/// shorter one: only a keepalive does.
const SHORTEST: usize = ETHERNET_LEN + IPV6_LEN + UDP_LEN + DATA_LEN_MIN as usize;

/// Looks at a frame without tags, and at IPv4 without options or IPv6 without extensions.
#[inline(always)]
pub fn at(frame: &Frame<'_>) -> Glance {
    let Some(head): Option<Head<SHORTEST>> = frame.head() else { return short(frame) };
    if head.u32::<12>() & V4.1 == V4.0 {
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
        let packet_len = usize::from(u16::from_be(head.u16::<16>()));
        if inside(head.u32::<26>(), mask) == overlay.into()
            || !frame.is_long(ETHERNET_LEN + packet_len)
        {
            return Glance::Unclear;
        }
        return message(head.u32::<42>(), head.u8::<50>());
    }
    if head.u32_again::<12>() & V6.1 != V6.0 || head.u8::<20>() != protocol::UDP {
        return Glance::Unclear;
    }
    if u32::from(head.u16::<56>()) != settings::port() {
        return Glance::Foreign;
    }
    let (overlay, is_wide) = settings::overlay_v6();
    let len = ETHERNET_LEN + IPV6_LEN + usize::from(u16::from_be(head.u16::<18>()));
    if is_wide || head.u32::<22>() == overlay || !frame.is_long(len) {
        return Glance::Unclear;
    }
    message(head.u32::<62>(), head.u8::<70>())
}

/// Of a frame too short for data: acknowledgements of TCP, for instance.
#[inline(always)]
fn short(frame: &Frame<'_>) -> Glance {
    let Some(head): Option<Head<38>> = frame.head() else { return Glance::Unclear };
    let is_v4 = head.u32::<12>() & V4.1 == V4.0;
    if is_v4 && head.u8::<23>() != protocol::UDP { Glance::Foreign } else { Glance::Unclear }
}

/// By the word of its type and the lowest byte of its counter, of a message that is all there is
/// in a frame long enough for data.
#[inline(always)]
fn message(first: u32, counter: u8) -> Glance {
    if u32::from_le(first) == DATA && !is_sample(counter.into()) {
        Glance::Data
    } else {
        Glance::Unclear
    }
}

/// What a mask with its uppermost bit set leaves of a word. The instruction has room for it as a
/// negative number; the compiler takes a register for the positive one.
#[inline(always)]
fn masked<const MASK: u32>(word: u32) -> u64 {
    let mut masked = u64::from(word);
    // SAFETY: computes with a register.
    unsafe { asm!("{0} &= {mask}", inout(reg) masked, mask = const MASK.cast_signed()) };
    masked
}

/// What a mask leaves of an address. The compiler would clear the upper half once more.
#[inline(always)]
fn inside(address: u32, mask: u32) -> u64 {
    let mut inside = u64::from(address);
    // SAFETY: computes with registers.
    unsafe { asm!("{0} &= {1}", inout(reg) inside, in(reg) u64::from(mask)) };
    inside
}

/// Bytes as a word, as they lie there.
const fn word(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}
