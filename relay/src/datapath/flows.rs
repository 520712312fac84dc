//! The table of flows, read from its map.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    mem::offset_of,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use aya::maps::{Array, MapData};
use relay_common::flow::{Record, SETS, State, TICK_BITS, WAYS, tcp};

use super::{
    DatapathError,
    clock::{boot_ns, boot_ticks},
    pinned::{FLOW_SEED, FLOWS, FRAGMENTS, Mapped, Pins, Words},
};

/// A flow that has not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveFlow {
    /// Address of the side that began it.
    pub beginner: IpAddr,
    /// Address of the other side.
    pub answerer: IpAddr,
    /// Ports of both, host byte order; the identifier of an echo twice; zeros for a protocol without.
    pub ports: (u16, u16),
    /// Protocol number.
    pub protocol: u8,
    /// Slot of the peer that began it.
    pub slot: u32,
    /// Number of the rule that allowed it.
    pub rule: u32,
    /// How far it has come.
    pub state: State,
    /// Since it began, to about a second.
    pub age: Duration,
    /// Until it expires, unless the beginner sends something.
    pub expires_in: Duration,
    /// Packets in both directions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How many flows of the table have not expired, by state, with every state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCounts {
    /// By the state's label.
    pub live: BTreeMap<&'static str, u64>,
    /// Places of the table.
    pub capacity: u64,
}

/// One of each label.
const STATES: [State; 4] = [
    State::OPENING,
    State::STEADY,
    State::STEADY.after_beginner(tcp::FIN),
    State::STEADY.after_beginner(tcp::RST),
];

/// Words of a set: tags, then entries.
const ENTRY: usize = size_of::<Record>() / size_of::<u64>();
const SET: usize = WAYS + WAYS * ENTRY;

const _: () = assert!(SET * size_of::<u64>() == size_of::<relay_common::flow::FlowSet>());

/// The word of an entry that ends with the slot.
const SLOT: usize = offset_of!(Record, slot) / size_of::<u64>();

const _: () = assert!(offset_of!(Record, slot) % size_of::<u64>() == size_of::<u32>());

/// Tags below this are of empty places, or of such as are being filled.
const FIRST_TAG: u64 = 2;
/// Tag of an empty place.
const EMPTY: u64 = 0;

/// The live flows, in no order; none if nothing is pinned.
pub(super) fn read(pins: &Pins) -> Result<Vec<LiveFlow>, DatapathError> {
    let Some(pinned) = pins.map(&FLOWS).words()? else { return Ok(Vec::new()) };
    Ok(live(&pinned.words))
}

/// How many are live; `None` if nothing is pinned.
pub(super) fn count(pins: &Pins) -> Result<Option<FlowCounts>, DatapathError> {
    let Some(pinned) = pins.map(&FLOWS).words()? else { return Ok(None) };
    let now = boot_ticks();
    Ok(Some(counted(records(&pinned.words).filter(|record| record.expires > now))))
}

/// The live flows in one map.
pub(super) fn of(map: &MapData) -> Result<Vec<LiveFlow>, DatapathError> {
    Ok(live(&Mapped::new("flows", map, SETS as usize * SET)?))
}

/// Copies the pinned flows into the map of a generation, before any program uses it.
pub(super) fn copy(pins: &Pins, map: &MapData) -> Result<(), DatapathError> {
    let Some(pinned) = pins.map(&FLOWS).words()? else { return Ok(()) };
    let len = SETS as usize * SET;
    let word = |at: usize| pinned.words.get(at).unwrap_or(0);
    let mut words: Vec<u64> = (0..len).map(word).collect();
    for (set, copied) in words.chunks_exact_mut(SET).enumerate() {
        for (way, tag) in copied[..WAYS].iter_mut().enumerate() {
            // Its entry may have been replaced meanwhile.
            if *tag < FIRST_TAG || *tag != word(set * SET + way) {
                *tag = 0;
            }
        }
    }
    Mapped::new("flows", map, len)?.fill(&words);
    Ok(())
}

/// Ends the flows of these slots, and forgets their datagrams: they are about to belong to other peers,
/// which may have the same addresses.
pub(super) fn forget(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    if slots.is_empty() {
        return Ok(());
    }
    let slots: HashSet<u32> = slots.iter().copied().collect();
    for map in [&FLOWS, &FRAGMENTS] {
        let Some(Words { words, entries }) = pins.map(map).words()? else { continue };
        for first in (0..entries as usize).map(|set| set * SET) {
            for way in 0..WAYS {
                let tag = words.get(first + way).unwrap_or(EMPTY);
                let slot = words.get(first + WAYS + way * ENTRY + SLOT).unwrap_or(0);
                if tag >= FIRST_TAG && slots.contains(&upper(slot)) {
                    words.replace(first + way, tag, EMPTY);
                }
            }
        }
    }
    Ok(())
}

/// The second half of a word, as it is in memory.
fn upper(word: u64) -> u32 {
    let [_, upper] = bytemuck::cast::<u64, [u32; 2]>(word);
    upper
}

/// The seed of the hashes of pinned flows, made with the first of them.
pub(super) fn seed(pins: &Pins) -> Result<u64, DatapathError> {
    let pin = pins.map(&FLOW_SEED);
    let failed = |action| DatapathError::map("flow_seed", action);
    if let Some(pinned) = pin.words()? {
        return Ok(pinned.words.get(0).unwrap_or(0));
    }
    let mut created = Array::<_, u64>::create(1, FLOW_SEED.flags()).map_err(failed("create"))?;
    let seed = random();
    created.set(0, seed, 0).map_err(failed("write"))?;
    pin.pin(|path| created.pin(path))?;
    Ok(seed)
}

/// A number that a peer cannot guess.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// When each rule last had a packet of a flow that is in the table, by its number, nanoseconds of the
/// boot clock. A live flow counts as a packet now, and another one by its beginner's last packet.
pub(super) fn last_uses(pins: &Pins) -> Result<BTreeMap<u32, u64>, DatapathError> {
    let mut uses = BTreeMap::new();
    let Some(pinned) = pins.map(&FLOWS).words()? else { return Ok(uses) };
    let (now, now_ns) = (boot_ticks(), boot_ns());
    for record in records(&pinned.words) {
        let last = if record.expires > now { now_ns } else { ns(last_packet(&record)) };
        let latest: &mut u64 = uses.entry(record.rule).or_default();
        *latest = last.max(*latest);
    }
    Ok(uses)
}

fn live(words: &Mapped<u64>) -> Vec<LiveFlow> {
    let now = boot_ticks();
    records(words).filter_map(|record| flow(&record, now)).collect()
}

fn counted(live: impl Iterator<Item = Record>) -> FlowCounts {
    let mut counts: BTreeMap<&str, u64> = STATES.map(|state| (state.label(), 0)).into();
    for record in live {
        *counts.entry(State::from_bits(record.state).label()).or_default() += 1;
    }
    FlowCounts { live: counts, capacity: u64::from(SETS) * WAYS as u64 }
}

/// All records, of flows that are live or have expired.
fn records(words: &Mapped<u64>) -> impl Iterator<Item = Record> {
    let word = move |at: usize| words.get(at).unwrap_or(0);
    let places = (0..SETS as usize).flat_map(|set| (0..WAYS).map(move |way| (set, way)));
    places.filter_map(move |(set, way)| {
        let tag = word(set * SET + way);
        if tag < FIRST_TAG {
            return None;
        }
        let first = set * SET + WAYS + way * ENTRY;
        let record: [u64; ENTRY] = std::array::from_fn(|at| word(first + at));
        // Another flow may have taken the place meanwhile.
        (word(set * SET + way) == tag).then(|| bytemuck::cast(record))
    })
}

/// When the beginner sent its last packet, in ticks.
fn last_packet(record: &Record) -> u32 {
    let [.., protocol, _version] = record.tail.to_be_bytes();
    let lifetime = State::from_bits(record.state).lifetime(protocol);
    record.expires.saturating_sub(lifetime).max(record.started)
}

fn flow(record: &Record, now: u32) -> Option<LiveFlow> {
    let v6 = |[high, low]: [u64; 2]| Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
    let [first, second, third, fourth, .., protocol, version] = record.tail.to_be_bytes();
    let (beginner, answerer): (IpAddr, IpAddr) = match version {
        4 => {
            let v4 = |bits: u64| Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(0));
            (v4(record.beginner[1]).into(), v4(record.answerer[1]).into())
        }
        _ => (v6(record.beginner).into(), v6(record.answerer).into()),
    };
    (record.expires > now).then(|| LiveFlow {
        beginner,
        answerer,
        ports: (u16::from_be_bytes([first, second]), u16::from_be_bytes([third, fourth])),
        protocol,
        slot: record.slot,
        rule: record.rule,
        state: State::from_bits(record.state),
        age: duration(now.saturating_sub(record.started)),
        expires_in: duration(record.expires - now),
        packets: record.packets,
        bytes: record.bytes,
    })
}

fn duration(ticks: u32) -> Duration {
    Duration::from_nanos(ns(ticks))
}

fn ns(ticks: u32) -> u64 {
    u64::from(ticks) << TICK_BITS
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    #[test]
    fn flows_are_counted_by_state_with_every_state() {
        let open = Record { state: State::STEADY.bits(), ..Record::zeroed() };
        let counts = counted([open, open, Record::zeroed()].into_iter());
        assert_eq!(counts.live, [("closing", 0), ("open", 2), ("opening", 1), ("reset", 0)].into());
        assert_eq!(counts.capacity, 131_072);
    }

    #[test]
    fn the_last_packet_of_a_flow_is_as_long_ago_as_its_state_lasts() {
        let udp = Record { tail: 17 << 8 | 4, ..Record::zeroed() };
        let opening = State::OPENING;
        let begun = Record {
            started: 100,
            expires: 100 + opening.lifetime(17),
            state: opening.bits(),
            ..udp
        };
        assert_eq!(last_packet(&begun), 100);
        let steady = State::STEADY;
        let expires = 500 + steady.lifetime(17);
        assert_eq!(last_packet(&Record { expires, state: steady.bits(), ..begun }), 500);
        // It was answered, and nothing came after that.
        assert_eq!(last_packet(&Record { state: steady.bits(), ..begun }), 100);
    }
}
