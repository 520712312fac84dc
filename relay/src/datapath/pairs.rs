//! Traffic by pair of peers, counted if `pair_stats` is on.

use std::collections::{BTreeMap, HashSet};

use aya::maps::{HashMap, Map, MapData};
use relay_common::{
    PairCounters,
    counters::{OTHER_PAIRS, pair_key, pair_slots},
    names,
};

use super::{
    DatapathError, entries,
    pinned::{PAIRS, Pins},
};

/// `BPF_NOEXIST`: insert, never replace.
const NOEXIST: u64 = 1;

type Pinned = HashMap<MapData, u64, [u64; 2]>;

/// Traffic by slots of sender and receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairTraffic {
    /// Each pair with traffic.
    pub pairs: BTreeMap<(u32, u32), PairCounters>,
    /// Pairs without counters of their own, together.
    pub others: PairCounters,
}

/// Adds the counters of pairs without counters of their own to the map of a generation.
pub(super) fn prepare(map: &mut Map) -> Result<(), DatapathError> {
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "fill");
    let mut pairs = HashMap::<_, u64, [u64; 2]>::try_from(map).map_err(failed())?;
    match pairs.insert(OTHER_PAIRS, [0; 2], NOEXIST) {
        Ok(()) => Ok(()),
        // They exist, with the counts of earlier generations.
        Err(_there) if pairs.get(&OTHER_PAIRS, 0).is_ok() => Ok(()),
        Err(error) => Err(failed()(error)),
    }
}

/// Deletes the counters of pairs with these slots, which are about to belong to other peers.
pub(super) fn forget(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    if slots.is_empty() {
        return Ok(());
    }
    let Some(mut pinned) = open(pins)? else { return Ok(()) };
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "clear");
    let counted = entries::all(&pinned).map_err(failed())?;
    let slots: HashSet<u32> = slots.iter().copied().collect();
    let is_of_them = |key: &u64| {
        let (source, destination) = pair_slots(*key);
        slots.contains(&source) || slots.contains(&destination)
    };
    for key in counted.into_iter().map(|(key, _)| key).filter(is_of_them) {
        pinned.remove(&key).map_err(failed())?;
    }
    Ok(())
}

/// Traffic of a pair of slots, in one map.
pub(super) fn of(map: &Map, source: u32, destination: u32) -> Result<PairCounters, DatapathError> {
    let failed = || DatapathError::map(names::PAIR_COUNTERS, "read");
    let pairs = HashMap::<_, u64, [u64; 2]>::try_from(map).map_err(failed())?;
    match pairs.get(&pair_key(source, destination), 0) {
        Ok(words) => Ok(bytemuck::cast(words)),
        Err(aya::maps::MapError::KeyNotFound) => Ok(PairCounters::default()),
        Err(error) => Err(failed()(error)),
    }
}

/// Traffic of all pairs; none if nothing is pinned.
pub(super) fn read(pins: &Pins) -> Result<PairTraffic, DatapathError> {
    let mut traffic = PairTraffic::default();
    let Some(pinned) = open(pins)? else { return Ok(traffic) };
    let counted = entries::all(&pinned);
    for (key, words) in counted.map_err(DatapathError::map(names::PAIR_COUNTERS, "read"))? {
        let counters: PairCounters = bytemuck::cast(words);
        match key {
            OTHER_PAIRS => traffic.others = counters,
            _ => drop(traffic.pairs.insert(pair_slots(key), counters)),
        }
    }
    Ok(traffic)
}

fn open(pins: &Pins) -> Result<Option<Pinned>, DatapathError> {
    let Some(map) = pins.map(&PAIRS).open()? else { return Ok(None) };
    let opened = Map::from_map_data(map).and_then(Pinned::try_from);
    opened.map(Some).map_err(DatapathError::map(names::PAIR_COUNTERS, "open"))
}
