//! The headers in front of a datagram: Ethernet, tags, IPv4 or IPv6 with its extensions.

use relay_common::{
    guard::{Extension, FlowKey, source_v4, source_v6},
    header::protocol,
};

use crate::{
    frame::{Frame, LAST_HEADER},
    maps,
};

/// EtherTypes in network byte order (IEEE 802 Numbers, IANA).
const IPV4: u16 = 0x0800u16.to_be();
const IPV6: u16 = 0x86ddu16.to_be();
const TAG: u16 = 0x8100u16.to_be();
const SERVICE_TAG: u16 = 0x88a8u16.to_be();

/// Lengths of headers, bytes.
pub const ETHERNET_LEN: usize = 14;
pub const IPV6_LEN: usize = 40;
pub const UDP_LEN: usize = 8;
const TAG_LEN: usize = 4;

/// Largest number of tags and of extension headers. The stack removes any number of tags with VLAN
/// 0, and skips any number of extension headers; no packet in practical use has more.
const TAGS: usize = 4;
const EXTENSIONS: usize = 8;

/// The payload of a frame.
pub enum Found {
    /// UDP.
    Udp(Datagram),
    /// Another protocol.
    Nothing,
    /// Behind too many headers.
    Hidden,
}

/// The payload of an IP packet, UDP header included.
pub struct Datagram {
    /// Offset in the frame.
    pub at: usize,
    /// Length by the IP header, bytes.
    pub len: usize,
    /// Whether it is the first of several fragments.
    pub is_first_fragment: bool,
    /// Key of the source's bucket.
    pub source: u64,
    /// Source address, upper and lower half, host order; IPv4 as IPv4-mapped.
    pub address: [u64; 2],
}

impl Datagram {
    /// The same, with all values unknown to the verifier.
    #[inline(always)]
    pub fn forgotten(self) -> Option<Self> {
        let Self { at, len, is_first_fragment, source, address: [high, low] } = self;
        let numbers = [at as u64, len as u64, is_first_fragment.into(), source, high, low];
        let [at, len, fragment, source, high, low] = maps::forgotten(numbers)?;
        let (at, len, is_first_fragment) = (at as usize, len as usize, fragment != 0);
        Some(Self { at, len, is_first_fragment, source, address: [high, low] })
    }
}

/// Skips Ethernet, tags and IP.
#[inline(always)]
pub fn carried(frame: &Frame<'_>) -> Found {
    let Some(ethernet) = frame.head::<ETHERNET_LEN>() else { return Found::Nothing };
    let mut at = ETHERNET_LEN;
    let mut ethertype = ethernet.u16::<12>();
    for _ in 0..TAGS {
        if ethertype == TAG || ethertype == SERVICE_TAG {
            let Some([word]) = frame.words(at) else { return Found::Nothing };
            ethertype = halves(word)[1];
            at += TAG_LEN;
        }
    }
    match ethertype {
        IPV4 => v4(frame, at).map_or(Found::Nothing, Found::Udp),
        IPV6 => v6(frame, at),
        TAG | SERVICE_TAG => Found::Hidden,
        _ => Found::Nothing,
    }
}

#[inline(always)]
fn v4(frame: &Frame<'_>, at: usize) -> Option<Datagram> {
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
    Some(Datagram {
        at: at + header_len,
        len: total_len.checked_sub(header_len)?,
        is_first_fragment: fragment & 0x2000 != 0,
        source: source_v4(source),
        address: FlowKey::mapped(source),
    })
}

#[inline(always)]
fn v6(frame: &Frame<'_>, at: usize) -> Found {
    let Some([first, second, a, b, c, d]) = frame.words(at) else { return Found::Nothing };
    let [_, _, mut next_header, _] = second.to_ne_bytes();
    if first.to_ne_bytes()[0] >> 4 != 6 {
        return Found::Nothing;
    }
    let address = [wide(a, b), wide(c, d)];
    let mut at = at + IPV6_LEN;
    let mut len = usize::from(u16::from_be(halves(second)[0]));
    if len == 0 && next_header == protocol::HOP_BY_HOP {
        // The stack takes the rest of the frame (ip6_rcv_core(), net/ipv6/ip6_input.c, 6.12).
        len = frame.len().saturating_sub(at);
    }
    let mut is_first_fragment = false;
    for _ in 0..EXTENSIONS {
        if !Extension::is_one(next_header) {
            break;
        }
        let Some([word]) = frame.words(at) else { return Found::Nothing };
        let Some(extension) = Extension::new(next_header, word.to_ne_bytes()) else { break };
        if extension.fragment > 1 {
            return Found::Nothing;
        }
        is_first_fragment |= extension.fragment == 1;
        next_header = extension.next_header;
        at += extension.len;
        len = len.saturating_sub(extension.len);
        if at > LAST_HEADER {
            return Found::Hidden;
        }
    }
    match next_header {
        protocol::UDP => {
            let source = source_v6(address[0]);
            Found::Udp(Datagram { at, len, is_first_fragment, source, address })
        }
        next_header if Extension::is_one(next_header) => Found::Hidden,
        _ => Found::Nothing,
    }
}

/// The halves of a word, in memory order.
#[inline(always)]
pub fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

/// Two words of an address as a number in host order.
#[inline(always)]
fn wide(high: u32, low: u32) -> u64 {
    u64::from(u32::from_be(high)) << 32 | u64::from(u32::from_be(low))
}
