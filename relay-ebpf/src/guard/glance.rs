//! What nearly every frame is: a data message in a plain frame, or nothing of the relay's.

use relay_common::{
    guard::{Kind, is_sample, kind},
    header::{PLAIN_IPV4, protocol},
};

use crate::{
    frame::Frame,
    judge::{ETHERNET_LEN, FRAGMENT, IPV4, IPV6, UDP_LEN},
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

/// Looks at a frame without tags, and at IPv4 without options or IPv6 without extensions.
#[inline(always)]
pub fn at(frame: &Frame<'_>) -> Glance {
    let Some(head) = frame.head::<58>() else { return Glance::Unclear };
    match head.u16::<12>() {
        IPV4 if head.u8::<14>() == PLAIN_IPV4 => {
            if head.u16::<20>() & FRAGMENT != 0 {
                return Glance::Unclear;
            }
            if head.u8::<23>() != protocol::UDP || head.u16::<36>() != settings::port() {
                return Glance::Foreign;
            }
            let room = usize::from(u16::from_be(head.u16::<16>()));
            let len = usize::from(u16::from_be(head.u16::<38>()));
            let fits = len + 20 <= room && frame.reaches(ETHERNET_LEN + room);
            data(fits, len, head.u32::<42>(), head.u32::<50>())
        }
        IPV6 if head.u8::<14>() >> 4 == 6 && head.u8::<20>() == protocol::UDP => {
            let Some(head) = frame.head::<78>() else { return Glance::Unclear };
            if head.u16::<56>() != settings::port() {
                return Glance::Foreign;
            }
            let room = usize::from(u16::from_be(head.u16::<18>()));
            let len = usize::from(u16::from_be(head.u16::<58>()));
            let fits = len <= room && frame.reaches(ETHERNET_LEN + 40 + room);
            data(fits, len, head.u32::<62>(), head.u32::<70>())
        }
        _ => Glance::Unclear,
    }
}

/// Of a datagram to the relay's port: its length, and the words of its type and of the lower half
/// of its counter, as they lie there.
#[inline(always)]
fn data(fits: bool, len: usize, first: u32, counter: u32) -> Glance {
    let kind = len.checked_sub(UDP_LEN).and_then(|len| kind(u32::from_le(first), len as u32));
    if fits && kind == Some(Kind::Data) && !is_sample(u32::from_le(counter).into()) {
        Glance::Data
    } else {
        Glance::Unclear
    }
}
