use super::{
    FlowOf, Flows, Key, NO_SERVICE, Packet, Passed, Side, judge::standing, state::tcp, ticks,
    ticks_of,
};
use crate::{
    Reason,
    bytes::Bytes,
    extension::{Announced, MAX_EXTENSIONS, announced, step},
    header::{Headers, IPV4_LEN, IPV6_LEN, protocol},
    rules::Directions,
};

/// Sets of the memory of datagrams in fragments. Those of one peer are in one set, of which it takes
/// at most [`super::OWN_WAYS`] ways.
pub const DATAGRAM_SETS: u32 = 1 << 10;

/// How long the first fragment of a datagram is remembered, ticks: as Linux waits for the rest
/// (`IP_FRAG_TIME`, include/net/ip.h, 6.12).
const REMEMBERED: u32 = ticks_of(30);

/// Bit of a remembered service: the datagram is an answer.
const IS_ANSWER: u32 = 1 << 31;

/// What the headers say about fragmentation.
///
/// VERIFIER: not an `Option`, whose content the compiler reads before it tests whether there is any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Whether the packet is a fragment. If not, everything else is 0.
    pub exists: bool,
    /// Identification.
    pub id: u32,
    /// Protocol number in IPv4, 0 in IPv6, whose fragments are told apart without it.
    pub protocol: u8,
    /// Where its data belong in the datagram, bytes.
    pub offset: u32,
    /// Where its data begin in the packet, bytes.
    pub start: u32,
}

impl Fragment {
    /// Reads them.
    #[inline(always)]
    pub fn read(headers: &Headers, packet: &(impl Bytes + ?Sized)) -> Self {
        let mut fragment = Self::default();
        match headers {
            Headers::V4(header) if header.is_fragment() => {
                let word = header.fragment_word();
                fragment.exists = true;
                fragment.id = word >> 16;
                fragment.protocol = header.protocol();
                fragment.offset = (word & 0x1fff) * 8;
                fragment.start = IPV4_LEN;
            }
            Headers::V4(_) => {}
            Headers::V6(header) => {
                let (mut next, mut at) = (header.next_header(), IPV6_LEN);
                for _ in 0..MAX_EXTENSIONS {
                    let Ok(Announced::Extension) = announced(next) else { break };
                    let beginning: Option<[u8; 8]> = packet.read(at);
                    let Some([after, len, high, low, id @ ..]) = beginning else { break };
                    if next == protocol::FRAGMENT {
                        let offset = u32::from(high) << 8 | u32::from(low & 0xf8);
                        fragment.exists = offset != 0 || low & 1 != 0;
                        fragment.id = u32::from_be_bytes(id);
                        fragment.offset = offset;
                        fragment.start = at + 8;
                        break;
                    }
                    let Some((_, len)) = step(next, [after, len, high, low]) else { break };
                    (next, at) = (after, at + len);
                }
            }
        }
        fragment
    }

    /// The key of its datagram.
    #[inline(always)]
    pub const fn key(&self, headers: &Headers) -> Key {
        Key::of_datagram(headers, self.id, self.protocol)
    }

    /// From which byte of the datagram on later fragments may follow this first one, whose transport
    /// header is at `header_at` of a packet of `len` bytes.
    ///
    /// # Errors
    /// It does not hold the whole transport header.
    #[inline(always)]
    pub const fn end_of_header(
        &self,
        protocol: u8,
        header_at: u32,
        len: u32,
    ) -> Result<u32, Reason> {
        let needed = header_len(protocol);
        // The smallest unit of fragments.
        let end = header_at + if needed > 8 { needed } else { 8 };
        if len < end || header_at < self.start {
            return Err(Reason::BadFragment);
        }
        Ok(end - self.start)
    }
}

/// Length that the transport header of a packet has at least, bytes; 0 for protocols that are not
/// read.
#[inline(always)]
pub const fn header_len(protocol: u8) -> u32 {
    match protocol {
        protocol::TCP => tcp::MIN_LEN,
        protocol::UDP | protocol::ICMP | protocol::ICMPV6 => 8,
        _ => 0,
    }
}

/// Decides about a fragment other than the first, from this offset of the datagram with this key on: it
/// passes if the first one has passed.
///
/// # Errors
/// The first fragment is not remembered, or its transport header is overlapped by this one, or
/// nothing allows it any more.
#[inline(always)]
pub fn judge_later(
    flows: &impl Flows,
    key: &Key,
    offset: u32,
    source: u32,
    directions: Directions,
) -> Result<Passed, Reason> {
    let now_ns = flows.now_ns();
    let (number, tag) = place(key, flows.seed(), source);
    let found = flows.set_of_datagrams(number).and_then(|set| set.find(tag, key));
    let (_, entry) = found
        .filter(|(_, entry)| entry.expires() > ticks(now_ns))
        .ok_or(Reason::NoFirstFragment)?;
    let (service, end) = entry.datagram();
    if offset < end {
        return Err(Reason::BadFragment);
    }
    let (side, set) = match service & IS_ANSWER {
        0 => (Side::Beginner, directions.forward),
        _ => (Side::Answerer, directions.backward),
    };
    let rule = standing(flows, entry, set, service & !IS_ANSWER)?;
    Ok(Passed { rule, side, flow: FlowOf::NONE })
}

/// Forgets another datagram with this key, which precedes [`remember`].
#[inline(always)]
pub fn forget(flows: &impl Flows, key: &Key, source: u32) {
    let (number, tag) = place(key, flows.seed(), source);
    if let Some(set) = flows.set_of_datagrams(number)
        && let Some((way, _)) = set.find(tag, key)
    {
        set.clear(way);
    }
}

/// Remembers the first fragment of a datagram, which has passed, so that the others pass too. `end` is
/// what [`Fragment::end_of_header`] gave.
#[inline(always)]
pub fn remember(flows: &impl Flows, key: &Key, packet: &Packet, passed: &Passed, end: u32) {
    let service = match passed.side {
        Side::Beginner => packet.asked,
        Side::Answerer => packet.answered | IS_ANSWER,
    };
    if service == NO_SERVICE {
        return;
    }
    let now = ticks(flows.now_ns());
    let (number, tag) = place(key, flows.seed(), packet.source);
    let Some(set) = flows.set_of_datagrams(number) else { return };
    let room = set.room(packet.source, now, |number| flows.opaque(number));
    if !room.exists() {
        return;
    }
    if let Some(entry) = set.claim(room, |word, old, new| flows.replace(word, old, new)) {
        entry.begin(key, packet.source, now);
        entry.set_datagram(service, end);
        entry.set_expires(now + REMEMBERED);
        entry.allow(passed.rule, flows.generation());
        set.publish(room, tag, |word, old, new| flows.replace(word, old, new));
    }
}

/// The set of a peer's datagrams, and the tag of one.
#[inline(always)]
fn place(key: &Key, seed: u64, slot: u32) -> (u32, u64) {
    let (_, tag) = super::place(key, seed, slot);
    (slot % DATAGRAM_SETS, tag)
}
