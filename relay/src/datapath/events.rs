//! Refused packets that the programs wrote down, read from their ring.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use aya::maps::MapData;
use relay_common::{
    Event, Reason,
    bytes::Bytes as _,
    event::{EVENTS_KEPT, place},
    extension::{self, Announced},
    header::{Headers, protocol},
    names,
    transport::Transport,
};

use super::{DatapathError, Direction, Pins, mapped::Mapped, shape::Shape};

pub(super) const EVENTS_SHAPE: Shape = Shape::mapped_array(96).of(EVENTS_KEPT);
pub(super) const COUNT_SHAPE: Shape = Shape::mapped_array(8).of(1);

const _: () = assert!(size_of::<Event>() == EVENTS_SHAPE.value_size as usize);

/// Words of an [`Event`].
const WORDS: usize = size_of::<Event>() / size_of::<u64>();

/// A refused packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its number, counted from the first one.
    pub number: u64,
    /// When, nanoseconds of `CLOCK_BOOTTIME`.
    pub time_ns: u64,
    /// Whose counters it moved; 0 is nobody's.
    pub slot: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// What it was; none when the header could not be read.
    pub headers: Option<Inner>,
    /// Length, bytes.
    pub len: u32,
}

/// The headers of a refused packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Where it came from.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// Protocol number, past IPv6 extension headers.
    pub protocol: u8,
    /// Ports of TCP and UDP; of ICMP type and code in the first.
    pub ports: (u16, u16),
}

/// The ring, and how far it was read.
pub struct Recorder {
    events: Mapped<u64>,
    count: Mapped<u64>,
    seen: u64,
}

/// What has come since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// In the order in which they were refused.
    pub refusals: Vec<Refusal>,
    /// How many were overwritten before they could be read.
    pub lost: u64,
}

/// Checks what is pinned, if anything is, before programs use it.
pub(super) fn check(pins: &Pins) -> Result<(), DatapathError> {
    for (name, path, shape) in [
        (names::EVENTS, pins.events(), EVENTS_SHAPE),
        (names::EVENT_COUNT, pins.event_count(), COUNT_SHAPE),
    ] {
        if path.exists() {
            shape.require(name, &path)?;
        }
    }
    Ok(())
}

impl Recorder {
    /// The pinned ring, from where there are `last` events more to come, or as many as there are.
    ///
    /// # Errors
    /// It is not pinned, or is of another shape.
    pub(super) fn open(pins: &Pins, last: u64) -> Result<Self, DatapathError> {
        check(pins)?;
        let open = |name: &'static str, path: PathBuf| {
            MapData::from_pin(path).map_err(DatapathError::map(name, "open"))
        };
        let events = open(names::EVENTS, pins.events())?;
        let count = open(names::EVENT_COUNT, pins.event_count())?;
        Self::of(&events, &count, last)
    }

    /// The same of maps that are open.
    pub(super) fn of(events: &MapData, count: &MapData, last: u64) -> Result<Self, DatapathError> {
        let events = Mapped::new(names::EVENTS, events, EVENTS_KEPT as usize * WORDS)?;
        let count = Mapped::new(names::EVENT_COUNT, count, 1)?;
        let mut recorder = Self { events, count, seen: 0 };
        recorder.seen = recorder.total().saturating_sub(last.min(u64::from(EVENTS_KEPT)));
        Ok(recorder)
    }

    /// What has come since the last look.
    pub fn read(&mut self) -> Recorded {
        let total = self.total();
        let mut recorded = Recorded::default();
        while self.seen < total {
            let number = self.seen + 1;
            match self.event(number) {
                Found::Refusal(refusal) => recorded.refusals.push(refusal),
                Found::Overwritten => recorded.lost += 1,
                // The next look finds it written.
                Found::Unfinished => break,
            }
            self.seen = number;
        }
        recorded
    }

    fn total(&self) -> u64 {
        self.count.get(0).unwrap_or(0)
    }

    fn event(&self, number: u64) -> Found {
        let first = place(number) as usize * WORDS;
        let word = |at: usize| self.events.get(first + at).unwrap_or(0);
        let before = word(0);
        let words: [u64; WORDS] = std::array::from_fn(word);
        let after = word(0);
        if before > number || after > number {
            return Found::Overwritten;
        }
        if before != number || after != number {
            return Found::Unfinished;
        }
        let event: Event = bytemuck::cast(words);
        match Reason::from_index(event.reason) {
            Some(reason) => Found::Refusal(refusal(&event, reason)),
            None => Found::Overwritten,
        }
    }
}

enum Found {
    Refusal(Refusal),
    Overwritten,
    Unfinished,
}

fn refusal(event: &Event, reason: Reason) -> Refusal {
    let direction = if event.is_egress == 0 { Direction::Ingress } else { Direction::Egress };
    let head = &event.head[..event.head.len().min(event.len as usize)];
    Refusal {
        number: event.number,
        time_ns: event.time_ns,
        slot: event.slot,
        direction,
        reason,
        headers: headers(head),
        len: event.len,
    }
}

/// Reads what the beginning of a packet shows, however malformed the packet is.
fn headers(head: &[u8]) -> Option<Inner> {
    let headers = Headers::of(head)?;
    let mut transport = Transport::after(&headers);
    let (source, destination): (IpAddr, IpAddr) = match headers {
        Headers::V4(header) => {
            transport.offset = u32::from(head.first()? & 15) * 4;
            (header.source().to_be_bytes().into(), header.destination().to_be_bytes().into())
        }
        Headers::V6(header) => {
            pass_extensions(head, &mut transport);
            (address(header.source()).into(), address(header.destination()).into())
        }
    };
    let ports = match transport.protocol {
        _ if transport.is_later_fragment => None,
        protocol::TCP | protocol::UDP => {
            transport.ports(head).map(|ports| (ports.source, ports.destination))
        }
        protocol::ICMP | protocol::ICMPV6 => {
            head.read(transport.offset).map(|type_and_code| (u16::from_be(type_and_code), 0))
        }
        _ => None,
    };
    let protocol = transport.protocol;
    Some(Inner { source, destination, protocol, ports: ports.unwrap_or_default() })
}

/// Follows IPv6 extension headers as far as the head goes, also those that drop the packet.
fn pass_extensions(head: &[u8], transport: &mut Transport) {
    while extension::announced(transport.protocol) != Ok(Announced::Payload) {
        let Some(beginning) = head.read(transport.offset) else { return };
        let Some((next, len)) = extension::step(transport.protocol, beginning) else {
            transport.is_later_fragment = true;
            return;
        };
        transport.protocol = next;
        transport.offset += len;
    }
}

fn address([high, low]: [u64; 2]) -> Ipv6Addr {
    (u128::from(high) << 64 | u128::from(low)).into()
}
