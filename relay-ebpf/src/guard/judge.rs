//! The closer look: any frame, and what the datagram in it is.

use relay_common::guard::{DATA, DATA_LEN_MIN, Kind, Outcome, is_sample, kind};

use crate::{
    flow::Source,
    frame::Frame,
    handshake, maps,
    network::{self, Found, halves},
    settings,
};

/// Bytes of a UDP header.
pub const UDP_LEN: usize = 8;

/// What becomes of a frame; `None` where it is no message to the relay's port, or not understood.
#[inline(always)]
pub fn message(frame: &Frame<'_>) -> Option<Outcome> {
    let datagram = match network::carried(frame) {
        Found::Udp(datagram) => datagram.forgotten()?,
        Found::Nothing => return None,
        Found::Hidden => return Some(Outcome::Hidden),
    };
    if datagram.len < UDP_LEN {
        // A header in two fragments, or none.
        return datagram.is_first_fragment.then_some(Outcome::Fragmented);
    }
    let [ports, length] = frame.words(datagram.at)?;
    let [source_port, port] = halves(ports);
    if u32::from(port) != settings::port() {
        return None;
    }
    if maps::is_overlay(datagram.address) {
        return Some(Outcome::OverlaySource);
    }
    let at = datagram.at + UDP_LEN;
    // What is behind the IP packet is padding.
    let first = match frame.words(at) {
        Some([first]) if datagram.len >= UDP_LEN + 4 => u32::from_le(first),
        // Shorter than its type: of none.
        Some(_) | None => 0,
    };
    if datagram.is_first_fragment {
        return (first != DATA).then_some(Outcome::Fragmented);
    }
    let source = Source::new(&datagram, u16::from_be(source_port));
    if first == DATA {
        // As IP has its length. UDP's is the kernel's to compare: nothing else becomes of it.
        if datagram.len < UDP_LEN + DATA_LEN_MIN as usize
            || !is_whole(frame, datagram.at + datagram.len)
        {
            return Some(Outcome::Malformed);
        }
        if frame.words(at + 8).is_some_and(|[low]| is_sample(u32::from_le(low).into())) {
            source.sent_data();
        }
        return Some(Outcome::Data);
    }
    let udp_len = usize::from(u16::from_be(halves(length)[0]));
    if udp_len > datagram.len || !is_whole(frame, datagram.at + udp_len) {
        return Some(Outcome::Malformed);
    }
    let kind = udp_len.checked_sub(UDP_LEN).and_then(|len| kind(first, len as u32));
    Some(match kind {
        Some(Kind::Initiation) => handshake::initiation(frame, at, &source),
        Some(Kind::Response) => handshake::response(frame, at, &source),
        Some(Kind::CookieReply) => handshake::cookie_reply(&source),
        Some(Kind::Data) | None => Outcome::Malformed,
    })
}

/// Whether a frame reaches as far.
#[inline(always)]
fn is_whole(frame: &Frame<'_>, end: usize) -> bool {
    frame.reaches(end) || end <= frame.len()
}
