//! What each pair of peers has exchanged, counted where `pair_stats` is on.

use std::collections::{BTreeMap, HashSet};

use aya::maps::{HashMap, Map, MapData, MapType};
use relay_common::{
    PairCounters,
    counters::{MAX_PAIRS_COUNTED, OTHER_PAIRS, pair_key, pair_slots},
    names,
};

use super::{DatapathError, Pins, shape::Shape};

/// `BPF_F_NO_PREALLOC`: memory goes with the pairs that talk.
const NO_PREALLOC: u32 = 1;

/// `BPF_NOEXIST`.
const NOEXIST: u64 = 1;

pub(super) const SHAPE: Shape = Shape {
    kind: MapType::Hash,
    key_size: 8,
    value_size: 16,
    flags: NO_PREALLOC,
    entries: Some(MAX_PAIRS_COUNTED),
};

type Pinned = HashMap<MapData, u64, [u64; 2]>;

/// Traffic by the slots of sender and receiver, and that of pairs which found no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairTraffic {
    /// Each pair that has talked.
    pub pairs: BTreeMap<(u32, u32), PairCounters>,
    /// All others together.
    pub others: PairCounters,
}

/// Makes room for what finds none, in a map that programs of a generation count in.
pub(super) fn prepare(map: &mut Map) -> Result<(), DatapathError> {
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "fill");
    let mut pairs = HashMap::<_, u64, [u64; 2]>::try_from(map).map_err(failed())?;
    match pairs.insert(OTHER_PAIRS, [0; 2], NOEXIST) {
        Ok(()) => Ok(()),
        // Of an earlier generation, with what it has counted.
        Err(_there) if pairs.get(&OTHER_PAIRS, 0).is_ok() => Ok(()),
        Err(error) => Err(failed()(error)),
    }
}

/// Checks what is pinned, if anything is, before programs use it.
pub(super) fn check(pins: &Pins) -> Result<(), DatapathError> {
    open(pins).map(drop)
}

/// Forgets the pairs of slots that are given to others.
pub(super) fn forget(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    if slots.is_empty() {
        return Ok(());
    }
    let Some(mut pinned) = open(pins)? else { return Ok(()) };
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "clear");
    let keys: Vec<u64> = pinned.keys().collect::<Result<_, _>>().map_err(failed())?;
    let slots: HashSet<u32> = slots.iter().copied().collect();
    let is_of_them = |key: &&u64| {
        let (source, destination) = pair_slots(**key);
        slots.contains(&source) || slots.contains(&destination)
    };
    for key in keys.iter().filter(is_of_them) {
        pinned.remove(key).map_err(failed())?;
    }
    Ok(())
}

/// What a pair of slots exchanged, in one map.
pub(super) fn of(map: &Map, source: u32, destination: u32) -> Result<PairCounters, DatapathError> {
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "read");
    let pairs = HashMap::<_, u64, [u64; 2]>::try_from(map).map_err(failed())?;
    match pairs.get(&pair_key(source, destination), 0) {
        Ok(words) => Ok(bytemuck::cast(words)),
        Err(aya::maps::MapError::KeyNotFound) => Ok(PairCounters::default()),
        Err(error) => Err(failed()(error)),
    }
}

pub(super) fn read(pins: &Pins) -> Result<PairTraffic, DatapathError> {
    let mut traffic = PairTraffic::default();
    let Some(pinned) = open(pins)? else { return Ok(traffic) };
    for entry in pinned.iter() {
        let (key, words) = entry.map_err(DatapathError::map(names::PAIR_COUNTERS, "read"))?;
        let counters: PairCounters = bytemuck::cast(words);
        match key {
            OTHER_PAIRS => traffic.others = counters,
            _ => drop(traffic.pairs.insert(pair_slots(key), counters)),
        }
    }
    Ok(traffic)
}

fn open(pins: &Pins) -> Result<Option<Pinned>, DatapathError> {
    let path = pins.pairs();
    if !path.exists() {
        return Ok(None);
    }
    SHAPE.require(names::PAIR_COUNTERS, &path)?;
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "open");
    let map = MapData::from_pin(&path).map_err(failed())?;
    Map::from_map_data(map).and_then(Pinned::try_from).map(Some).map_err(failed())
}
