//! The full decision, for any frame.

use relay_common::guard::{DATA, DATA_LEN_MIN, Kind, Outcome, is_sample, kind};

use crate::{
    flow::Source,
    frame::Frame,
    handshake, maps,
    network::{self, Found, UDP_LEN, halves},
    settings,
};

/// The outcome of a frame; `None` if it is no message to the relay's port, or not understood.
#[inline(always)]
pub fn message(frame: &Frame<'_>) -> Option<Outcome> {
    let datagram = match network::carried(frame) {
        Found::Udp(datagram) => datagram.forgotten()?,
        Found::Nothing => return None,
        Found::Hidden => return Some(Outcome::Hidden),
    };
    if datagram.len < UDP_LEN {
        // The UDP header is in two fragments, or absent.
        return datagram.is_first_fragment.then_some(Outcome::Fragmented);
    }
    let [ports, length] = frame.words(datagram.at)?;
    let [source_port, port] = halves(ports);
    if u32::from(port) != settings::port() {
        return None;
    }
    if settings::may_be_overlay(datagram.address) && maps::is_overlay(datagram.address) {
        return Some(Outcome::OverlaySource);
    }
    let at = datagram.at + UDP_LEN;
    // Bytes behind the IP packet are padding.
    let first = match frame.words(at) {
        Some([first]) if datagram.len >= UDP_LEN + 4 => u32::from_le(first),
        // Too short for a type.
        Some(_) | None => 0,
    };
    if datagram.is_first_fragment {
        return (first != DATA).then_some(Outcome::Fragmented);
    }
    let source = Source::new(&datagram, u16::from_be(source_port));
    if first == DATA {
        // By the length in the IP header. The kernel compares UDP's and drops the message if it differs.
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

/// Whether a frame has bytes up to `end`.
#[inline(always)]
fn is_whole(frame: &Frame<'_>, end: usize) -> bool {
    frame.reaches(end) || end <= frame.len()
}
