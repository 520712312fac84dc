//! What peers use of each other, counted by `relay_learn` in maps that outlive generations.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, Map, MapData};
use relay_common::{
    names,
    usage::{ALL_PEERS, MAX_SERVICES_OF_A_PEER, OTHERS, Use, UseKey},
};

use super::{
    Datapath, DatapathError, Observed, clock, entries,
    pinned::{HOLDERS, Pin, Pins, USES},
    role::Role,
    slots::Slots,
};
use crate::policy::Compiled;

/// `BPF_NOEXIST`: insert, never replace.
const NOEXIST: u64 = 1;

type Key = [u32; 3];
type Value = [u64; 6];
type Uses<T> = HashMap<T, Key, Value>;

const _: () = assert!(size_of::<Key>() == size_of::<UseKey>());
const _: () = assert!(size_of::<Value>() == size_of::<Use>());

/// What was learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// When learning began last, nanoseconds of `CLOCK_BOOTTIME`. What was learnt before that and not
    /// forgotten is kept.
    pub since_ns: u64,
    /// When it ended; `None` if that is not known, or it is on.
    pub until_ns: Option<u64>,
    /// All uses, in order. Those with [`OTHERS`] as service are of pairs that have used more services
    /// than are kept.
    pub uses: BTreeMap<UseKey, Use>,
    /// Slots because of whose packets no more services are kept.
    pub at_limit: BTreeSet<u32>,
    /// Packets that are in none of the uses.
    pub lost: u64,
}

impl Datapath {
    /// Counts from now on what peers use of each other, until [`Datapath::stop_learning`]. What was
    /// learnt before is kept unless it starts afresh. The policy must be the one in force; it is put in
    /// force again.
    ///
    /// # Errors
    /// Any step fails.
    pub fn start_learning(
        &self,
        (in_force, slots): (&Compiled, &Slots),
        observed: &Observed,
        afresh: bool,
    ) -> Result<(), DatapathError> {
        if afresh {
            remove(&self.pins)?;
        }
        let (number, nothing) = (observed.next_number(), BTreeMap::new());
        self.switch_to(Role::Learning, in_force, slots, observed, number, &nothing)?;
        resume(&self.pins)
    }

    /// Counts that no more. What was learnt is kept. The policy must be the one in force; it is put in
    /// force again.
    ///
    /// # Errors
    /// Any step fails.
    pub fn stop_learning(
        &self,
        (in_force, slots): (&Compiled, &Slots),
        observed: &Observed,
    ) -> Result<(), DatapathError> {
        let (number, nothing) = (observed.next_number(), BTreeMap::new());
        self.switch_to(Role::Alone, in_force, slots, observed, number, &nothing)?;
        end(&self.pins)
    }

    /// What was learnt; `None` if nothing ever was since relay came up.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn usage(&self) -> Result<Option<Usage>, DatapathError> {
        read(&self.pins)
    }
}

/// Adds what has no place to the map of a generation, with the time now, unless it is there.
pub(super) fn prepare(map: &mut Map) -> Result<(), DatapathError> {
    let failed = || DatapathError::map(names::USES, "fill");
    let mut uses = Uses::try_from(map).map_err(failed())?;
    let lost: Key = bytemuck::cast(UseKey::LOST);
    let begun = Use { first_ns: clock::boot_ns(), ..Use::default() };
    match uses.insert(lost, bytemuck::cast::<Use, Value>(begun), NOEXIST) {
        Ok(()) => Ok(()),
        // It has the time of an earlier generation.
        Err(_there) if uses.get(&lost, 0).is_ok() => Ok(()),
        Err(error) => Err(failed()(error)),
    }
}

/// Notes that learning begins again, with what was learnt before.
fn resume(pins: &Pins) -> Result<(), DatapathError> {
    retime(pins, |lost| Use { first_ns: clock::boot_ns(), last_ns: 0, ..lost })
}

/// Notes that learning ends.
fn end(pins: &Pins) -> Result<(), DatapathError> {
    retime(pins, |lost| Use { last_ns: clock::boot_ns(), ..lost })
}

/// What was learnt; `None` if nothing is pinned.
fn read(pins: &Pins) -> Result<Option<Usage>, DatapathError> {
    let Some(map) = open(&pins.map(&USES))? else { return Ok(None) };
    let uses = uses_in(&map)?;
    let holders = match open(&pins.map(&HOLDERS))? {
        Some(map) => holders_in(&map)?,
        None => BTreeMap::new(),
    };
    Ok(Some(usage(uses, &holders)))
}

/// What was learnt, in the maps of one generation.
pub(super) fn of(uses: &Map, holders: &Map) -> Result<Usage, DatapathError> {
    Ok(usage(uses_in(uses)?, &holders_in(holders)?))
}

/// Deletes the uses of these slots, which are about to belong to other peers.
pub(super) fn forget(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    if slots.is_empty() {
        return Ok(());
    }
    let Some(mut map) = open(&pins.map(&USES))? else { return Ok(()) };
    let Some(mut holders) = open(&pins.map(&HOLDERS))? else { return Ok(()) };
    let mut held = holders_in(&holders)?;
    let slots: BTreeSet<u32> = slots.iter().copied().collect();
    let failed = || DatapathError::map(names::USES, "clear");
    let found = uses_in(&map)?;
    let mut uses = Uses::try_from(&mut map).map_err(failed())?;
    for (key, found) in found {
        if ![key.beginner, key.other, found.holder].iter().any(|slot| slots.contains(slot)) {
            continue;
        }
        uses.remove(&bytemuck::cast::<UseKey, Key>(key)).map_err(failed())?;
        for slot in [found.holder, ALL_PEERS] {
            if key.service != OTHERS
                && let Some(held) = held.get_mut(&slot)
            {
                *held = held.saturating_sub(1);
            }
        }
    }
    let failed = || DatapathError::map(names::HOLDERS, "write");
    let mut holders = HashMap::<_, u32, u64>::try_from(&mut holders).map_err(failed())?;
    held.iter().try_for_each(|(slot, held)| holders.insert(slot, held, 0)).map_err(failed())
}

/// Removes everything that was learnt.
fn remove(pins: &Pins) -> Result<(), DatapathError> {
    pins.map(&USES).remove()?;
    pins.map(&HOLDERS).remove()
}

fn usage(mut uses: BTreeMap<UseKey, Use>, holders: &BTreeMap<u32, u64>) -> Usage {
    let lost = uses.remove(&UseKey::LOST).unwrap_or_default();
    let is_at_limit =
        |&(&slot, &held): &(&u32, &u64)| slot != ALL_PEERS && held >= MAX_SERVICES_OF_A_PEER;
    Usage {
        since_ns: lost.first_ns,
        until_ns: (lost.last_ns != 0).then_some(lost.last_ns),
        at_limit: holders.iter().filter(is_at_limit).map(|(slot, _)| *slot).collect(),
        lost: lost.packets,
        uses,
    }
}

fn uses_in(map: &Map) -> Result<BTreeMap<UseKey, Use>, DatapathError> {
    let failed = || DatapathError::map(names::USES, "read");
    let uses = Uses::try_from(map).map_err(failed())?;
    let all = entries::all(&uses).map_err(failed())?.into_iter();
    Ok(all.map(|(key, value)| (bytemuck::cast(key), bytemuck::cast(value))).collect())
}

fn holders_in(map: &Map) -> Result<BTreeMap<u32, u64>, DatapathError> {
    let failed = || DatapathError::map(names::HOLDERS, "read");
    let holders = HashMap::<_, u32, u64>::try_from(map).map_err(failed())?;
    Ok(entries::all(&holders).map_err(failed())?.into_iter().collect())
}

fn retime(pins: &Pins, change: impl FnOnce(Use) -> Use) -> Result<(), DatapathError> {
    let Some(mut map) = open(&pins.map(&USES))? else { return Ok(()) };
    let failed = || DatapathError::map(names::USES, "write");
    let mut uses = Uses::try_from(&mut map).map_err(failed())?;
    let key: Key = bytemuck::cast(UseKey::LOST);
    let lost = uses.get(&key, 0).map_err(failed())?;
    let changed: Value = bytemuck::cast(change(bytemuck::cast(lost)));
    uses.insert(key, changed, 0).map_err(failed())
}

fn open(pin: &Pin) -> Result<Option<Map>, DatapathError> {
    let opened: Option<MapData> = pin.open()?;
    opened.map(Map::from_map_data).transpose().map_err(DatapathError::map("of uses", "open"))
}
