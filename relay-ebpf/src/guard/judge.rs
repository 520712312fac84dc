//! The closer look: any frame, its headers one after the other.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use relay_common::{
    guard::{FlowKey, Kind, Outcome, is_handshake, is_sample, kind, source_v4, source_v6},
    header::protocol,
};

use crate::{frame::Frame, handshake, maps, settings};

/// EtherTypes as they lie in the header (IEEE 802 Numbers, IANA).
pub const IPV4: u16 = 0x0800u16.to_be();
pub const IPV6: u16 = 0x86ddu16.to_be();
const TAG: u16 = 0x8100u16.to_be();
const SERVICE_TAG: u16 = 0x88a8u16.to_be();

/// Offset, and that more follow, in the second half of the second word of an IPv4 header
/// (RFC 791, section 3.1), as they lie there.
pub const FRAGMENT: u16 = 0x3fffu16.to_be();

/// Bytes of headers.
pub const ETHERNET_LEN: usize = 14;
pub const UDP_LEN: usize = 8;
const TAG_LEN: usize = 4;
const IPV6_LEN: usize = 40;
const FRAGMENT_LEN: usize = 8;

/// IPv6 fragment header (RFC 8200, section 4.5).
const FRAGMENT_HEADER: u8 = 44;

/// What IP carries.
struct Payload {
    /// Where it begins.
    at: usize,
    /// Bytes of it, as the IP header has it.
    len: usize,
    /// Whether it is the first of several fragments.
    is_first_fragment: bool,
    /// Source, as the limit has it.
    source: u64,
    /// Source address as a flow has it, upper and lower half.
    address: [u64; 2],
}

/// Where an initiation comes from.
pub struct Source {
    /// As the limit has it.
    pub key: u64,
    /// Address and port.
    pub flow: FlowKey,
}

/// What becomes of a frame; `None` where it is no message to the relay's port, or not understood.
#[inline(always)]
pub fn message(frame: &Frame<'_>) -> Option<Outcome> {
    let payload = network(frame)?;
    let [ports, length] = frame.words(payload.at)?;
    let [source_port, port] = halves(ports);
    if port != settings::port() {
        return None;
    }
    let at = payload.at + UDP_LEN;
    let first = match frame.words(at) {
        Some([first]) => u32::from_le(first),
        // In a further buffer, which no driver does.
        None if at + 4 <= frame.len() => return None,
        // Shorter than its type: of none.
        None => 0,
    };
    if payload.is_first_fragment {
        return is_handshake(first).then_some(Outcome::Fragmented);
    }
    let udp_len = usize::from(u16::from_be(halves(length)[0]));
    let end = payload.at + udp_len;
    if udp_len > payload.len || !(frame.reaches(end) || end <= frame.len()) {
        return Some(Outcome::Malformed);
    }
    let kind = udp_len.checked_sub(UDP_LEN).and_then(|len| kind(first, len as u32));
    let Some(kind) = kind else { return Some(Outcome::Malformed) };
    let flow = FlowKey::new(payload.address, u16::from_be(source_port));
    Some(match kind {
        Kind::Data => {
            let sample =
                frame.words(at + 8).is_some_and(|[low]| is_sample(u32::from_le(low).into()));
            if sample && let Some(known) = maps::flow(&flow) {
                // SAFETY: a map value; at worst another flow has taken its place, which is data's
                // to confirm as well once an initiation was let through from it.
                unsafe { known.write((*known).confirmed(now())) };
            }
            Outcome::Data
        }
        Kind::CookieReply => Outcome::CookieReply,
        Kind::Response => handshake::response(frame, at),
        Kind::Initiation => handshake::initiation(frame, at, &Source { key: payload.source, flow }),
    })
}

/// Past Ethernet, tags and IP.
#[inline(always)]
fn network(frame: &Frame<'_>) -> Option<Payload> {
    let mut at = ETHERNET_LEN;
    let mut ethertype = frame.head::<ETHERNET_LEN>()?.u16::<12>();
    for _ in 0..2 {
        if ethertype == TAG || ethertype == SERVICE_TAG {
            let [word] = frame.words(at)?;
            ethertype = halves(word)[1];
            at += TAG_LEN;
        }
    }
    match ethertype {
        IPV4 => v4(frame, at),
        IPV6 => v6(frame, at),
        _ => None,
    }
}

#[inline(always)]
fn v4(frame: &Frame<'_>, at: usize) -> Option<Payload> {
    let [first, second, third, source, _] = frame.words(at)?;
    let [version_and_len, ..] = first.to_ne_bytes();
    let header_len = usize::from(version_and_len & 15) * 4;
    if version_and_len >> 4 != 4 || header_len < 20 || third.to_ne_bytes()[1] != protocol::UDP {
        return None;
    }
    let fragment = u16::from_be(halves(second)[1]);
    if fragment & 0x1fff != 0 {
        return None;
    }
    let source = u32::from_be(source);
    let total_len = usize::from(u16::from_be(halves(first)[1]));
    Some(Payload {
        at: at + header_len,
        len: total_len.checked_sub(header_len)?,
        is_first_fragment: fragment & 0x2000 != 0,
        source: source_v4(source),
        address: FlowKey::mapped(source),
    })
}

#[inline(always)]
fn v6(frame: &Frame<'_>, at: usize) -> Option<Payload> {
    let [first, second, a, b, c, d] = frame.words(at)?;
    let next_header = second.to_ne_bytes()[2];
    if first.to_ne_bytes()[0] >> 4 != 6 {
        return None;
    }
    let address = [wide(a, b), wide(c, d)];
    let mut payload = Payload {
        at: at + IPV6_LEN,
        len: usize::from(u16::from_be(halves(second)[0])),
        is_first_fragment: false,
        source: source_v6(address[0]),
        address,
    };
    if next_header == protocol::UDP {
        return Some(payload);
    }
    let [fragment] = frame.words(payload.at)?;
    let offset = u16::from_be(halves(fragment)[1]);
    let carried = fragment.to_ne_bytes()[0];
    // One that is all there is counts as whole (RFC 6946), here and in the stack.
    if next_header != FRAGMENT_HEADER || carried != protocol::UDP || offset & 0xfff8 != 0 {
        return None;
    }
    payload.at += FRAGMENT_LEN;
    payload.len = payload.len.checked_sub(FRAGMENT_LEN)?;
    payload.is_first_fragment = offset & 1 != 0;
    Some(payload)
}

/// Nanoseconds of the boot clock.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing, touches nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The halves of a word, as they lie there.
#[inline(always)]
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

/// Two words of an address, in host order.
#[inline(always)]
fn wide(high: u32, low: u32) -> u64 {
    u64::from(u32::from_be(high)) << 32 | u64::from(u32::from_be(low))
}
