//! What was counted where the candidate of a trial differs from the policy in force.

use aya::maps::{HashMap, Map, MapData};
use relay_common::{
    names, probe,
    trial::{Difference, DifferenceKey},
};

use super::{
    DatapathError, entries,
    events::{self, Inner},
    pinned::{DIFFERENCES, Pins, TRIED},
    probe::Answer,
    service::service,
};
use crate::model::Service;

/// `BPF_NOEXIST`: insert, never replace.
const NOEXIST: u64 = 1;

type Key = [u32; 4];
type Value = [u64; 12];

const _: () = assert!(size_of::<Key>() == size_of::<DifferenceKey>());
const _: () = assert!(size_of::<Value>() == size_of::<Difference>());

/// Packets of which the candidate makes something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differing {
    /// Slot of the sender; 0 if no peer owns the address.
    pub source: u32,
    /// Slot of the receiver; 0 if no peer owns the address.
    pub destination: u32,
    /// What they belong to; `None` if that cannot be read.
    pub service: Option<Service>,
    /// What becomes of them.
    pub in_force: Answer,
    /// What would become of them by the candidate.
    pub candidate: Answer,
    /// Number of packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first one came, nanoseconds of `CLOCK_BOOTTIME`.
    pub first_ns: u64,
    /// When the latest one came.
    pub last_ns: u64,
    /// Headers of the first one; `None` if they cannot be read.
    pub example: Option<Inner>,
}

/// What a trial has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The differences, in no order.
    pub differences: Vec<Differing>,
    /// Packets of differences for which there was no room.
    pub others: u64,
}

/// Adds the counts of differences that have no room to the map of a generation.
pub(super) fn prepare(map: &mut Map) -> Result<(), DatapathError> {
    let failed = || DatapathError::map(names::DIFFERENCES, "fill");
    let mut differences = HashMap::<_, Key, Value>::try_from(map).map_err(failed())?;
    let others: Key = bytemuck::cast(DifferenceKey::OTHERS);
    differences.insert(others, [0; 12], NOEXIST).map_err(failed())
}

/// What was found; nothing if no candidate is tried.
pub(super) fn read(pins: &Pins) -> Result<Found, DatapathError> {
    let mut found = Found::default();
    let Some(map) = pins.map(&DIFFERENCES).open()? else { return Ok(found) };
    let failed = || DatapathError::map(names::DIFFERENCES, "read");
    let map = Map::from_map_data(map).map_err(failed())?;
    let map = HashMap::<MapData, Key, Value>::try_from(map).map_err(failed())?;
    for (key, value) in entries::all(&map).map_err(failed())? {
        let (key, value): (DifferenceKey, Difference) =
            (bytemuck::cast(key), bytemuck::cast(value));
        match key {
            DifferenceKey::OTHERS => found.others = value.packets,
            _ => found.differences.extend(differing(&key, &value)),
        }
    }
    Ok(found)
}

/// Removes what a trial has pinned, beside its link.
pub(super) fn forget(pins: &Pins) -> Result<(), DatapathError> {
    pins.map(&TRIED).remove()?;
    pins.map(&DIFFERENCES).remove()
}

fn differing(key: &DifferenceKey, value: &Difference) -> Option<Differing> {
    let answer = |outcome: u16| probe::decode(outcome.into());
    Some(Differing {
        source: key.source,
        destination: key.destination,
        service: service(key.service),
        in_force: answer(key.in_force)?,
        candidate: answer(key.candidate)?,
        packets: value.packets,
        bytes: value.bytes,
        first_ns: value.first_ns,
        last_ns: value.last_ns,
        example: events::headers(&value.head),
    })
}
