//! Dropped packets, read from the ring that the programs write.

use std::net::{IpAddr, Ipv6Addr};

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

use super::{
    DatapathError,
    pinned::{EVENT_COUNT, EVENTS, Mapped, Pins},
};
use crate::model::Direction;

/// Words of an [`Event`].
const WORDS: usize = size_of::<Event>() / size_of::<u64>();

/// A dropped packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedPacket {
    /// Number, from 1.
    pub number: u64,
    /// Time, nanoseconds of `CLOCK_BOOTTIME`.
    pub time_ns: u64,
    /// Slot under which it was counted; 0 if its source belongs to no peer.
    pub slot: u32,
    /// Direction.
    pub direction: Direction,
    /// Reason.
    pub reason: Reason,
    /// Headers; `None` if they cannot be read.
    pub headers: Option<Inner>,
    /// Length, bytes.
    pub len: u32,
}

/// Headers of a dropped packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol number, behind IPv6 extension headers.
    pub protocol: u8,
    /// Source and destination port of TCP and UDP; type and code of ICMP in the first.
    pub ports: (u16, u16),
}

/// The ring, and the latest event that was read.
pub struct Recorder {
    events: Mapped<u64>,
    count: Mapped<u64>,
    seen: u64,
}

/// Dropped packets since the last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The packets, the oldest first.
    pub packets: Vec<DroppedPacket>,
    /// Number of events that were overwritten before they were read.
    pub lost: u64,
}

impl Recorder {
    /// The pinned ring, beginning with the latest `last` events.
    ///
    /// # Errors
    /// The ring is not pinned, or has another shape.
    pub(super) fn open(pins: &Pins, last: u64) -> Result<Self, DatapathError> {
        let events = pins.map(&EVENTS).require()?;
        let count = pins.map(&EVENT_COUNT).require()?;
        Self::of(&events, &count, last)
    }

    /// The ring in these maps, beginning with the latest `last` events.
    pub(super) fn of(events: &MapData, count: &MapData, last: u64) -> Result<Self, DatapathError> {
        let events = Mapped::new(names::EVENTS, events, EVENTS_KEPT as usize * WORDS)?;
        let count = Mapped::new(names::EVENT_COUNT, count, 1)?;
        let mut recorder = Self { events, count, seen: 0 };
        recorder.seen = recorder.total().saturating_sub(last.min(u64::from(EVENTS_KEPT)));
        Ok(recorder)
    }

    /// Reads the dropped packets since the last read.
    pub fn read(&mut self) -> Recorded {
        let total = self.total();
        let mut recorded = Recorded::default();
        while self.seen < total {
            let number = self.seen + 1;
            match self.event(number) {
                Found::Packet(packet) => recorded.packets.push(packet),
                Found::Overwritten => recorded.lost += 1,
                // Still being written; the next read returns it.
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
            Some(reason) => Found::Packet(packet(&event, reason)),
            None => Found::Overwritten,
        }
    }
}

enum Found {
    Packet(DroppedPacket),
    Overwritten,
    Unfinished,
}

fn packet(event: &Event, reason: Reason) -> DroppedPacket {
    let direction = if event.is_egress == 0 { Direction::Ingress } else { Direction::Egress };
    let head = &event.head[..event.head.len().min(event.len as usize)];
    DroppedPacket {
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
pub(super) fn headers(head: &[u8]) -> Option<Inner> {
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
