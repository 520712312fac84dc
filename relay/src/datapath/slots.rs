//! Slots: which counters belong to which public key, for as long as the key is configured.

use std::collections::BTreeMap;

use aya::maps::{HashMap, Map, MapData};

use super::{
    DatapathError,
    pinned::{MAX_PEERS, Pins, SLOTS},
};
use crate::model::{Peer, PublicKey};

/// Slots of the configured peers, and which are new or no longer used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    slots: Vec<u32>,
    new: Vec<(PublicKey, u32)>,
    gone: Vec<PublicKey>,
    capacity: u32,
}

impl Slots {
    /// Gives each peer the slot that its key has, or else the lowest free one. Slot 0 is for packets
    /// of no peer.
    ///
    /// # Errors
    /// More peers than slots.
    pub fn assign(
        peers: &[Peer],
        existing: &BTreeMap<PublicKey, u32>,
    ) -> Result<Self, DatapathError> {
        let mut taken: Vec<u32> = existing.values().copied().collect();
        taken.sort_unstable();
        let mut taken = taken.into_iter().peekable();
        let mut free = (1..MAX_PEERS).filter(|slot| {
            while taken.next_if(|taken| taken < slot).is_some() {}
            taken.peek() != Some(slot)
        });
        let mut new = Vec::new();
        let mut slots = Vec::with_capacity(peers.len());
        for peer in peers {
            let slot = match existing.get(&peer.public_key) {
                Some(&slot) => slot,
                None => {
                    let slot = free.next().ok_or(DatapathError::TooManyPeers {
                        found: peers.len(),
                        most: MAX_PEERS - 1,
                    })?;
                    new.push((peer.public_key, slot));
                    slot
                }
            };
            slots.push(slot);
        }
        let keys: std::collections::BTreeSet<_> =
            peers.iter().map(|peer| peer.public_key).collect();
        let gone = existing.keys().filter(|key| !keys.contains(key)).copied().collect();
        let highest = slots.iter().copied().max().unwrap_or(0);
        Ok(Self { slots, new, gone, capacity: highest + 1 })
    }

    /// Slot of each peer, in the order of the configuration.
    pub fn as_slice(&self) -> &[u32] {
        &self.slots
    }

    /// Number of slots that the counters need.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Slots of new keys.
    pub(super) fn new_slots(&self) -> Vec<u32> {
        self.new.iter().map(|&(_, slot)| slot).collect()
    }

    /// Whether there are new keys, or keys that are gone.
    pub fn changed(&self) -> bool {
        !self.new.is_empty() || !self.gone.is_empty()
    }
}

type Pinned = HashMap<MapData, [u8; 32], u32>;

/// The slot of each key; none if nothing is pinned.
pub(super) fn read(pins: &Pins) -> Result<BTreeMap<PublicKey, u32>, DatapathError> {
    let Some(pinned) = open(pins)? else { return Ok(BTreeMap::new()) };
    pinned
        .iter()
        .map(|entry| entry.map(|(key, slot)| (PublicKey::from_bytes(key), slot)))
        .collect::<Result<_, _>>()
        .map_err(DatapathError::map("slots", "read"))
}

/// Writes the slots of new keys.
pub(super) fn claim(pins: &Pins, slots: &Slots) -> Result<(), DatapathError> {
    let mut pinned = match open(pins)? {
        Some(pinned) => pinned,
        None => create(pins)?,
    };
    for (key, slot) in &slots.new {
        pinned.insert(key.as_bytes(), slot, 0).map_err(DatapathError::map("slots", "write"))?;
    }
    Ok(())
}

/// Frees the slots of keys that are gone. After the switch: until then the old programs count there.
pub(super) fn release(pins: &Pins, slots: &Slots) -> Result<(), DatapathError> {
    let Some(mut pinned) = open(pins)? else { return Ok(()) };
    for key in &slots.gone {
        pinned.remove(key.as_bytes()).map_err(DatapathError::map("slots", "write"))?;
    }
    Ok(())
}

fn open(pins: &Pins) -> Result<Option<Pinned>, DatapathError> {
    let Some(map) = pins.map(&SLOTS).open()? else { return Ok(None) };
    let opened = Map::from_map_data(map).and_then(Pinned::try_from);
    opened.map(Some).map_err(DatapathError::map("slots", "open"))
}

fn create(pins: &Pins) -> Result<Pinned, DatapathError> {
    let created = Pinned::create(MAX_PEERS, SLOTS.flags());
    let created = created.map_err(DatapathError::map("slots", "create"))?;
    pins.map(&SLOTS).pin(|path| created.pin(path))?;
    open(pins)?.ok_or(DatapathError::Lacks("the slots that were just pinned"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn peer(byte: u8) -> Peer {
        Peer::new(format!("p{byte}").parse().expect("a name"), key(byte))
    }

    #[test]
    fn a_key_keeps_its_slot_and_a_new_one_takes_the_lowest_free() {
        let existing = BTreeMap::from([(key(1), 1), (key(2), 4), (key(9), 2)]);
        let slots =
            Slots::assign(&[peer(2), peer(5), peer(1), peer(6)], &existing).expect("few peers");
        assert_eq!(slots.as_slice(), [4, 3, 1, 5]);
        assert_eq!(slots.gone, [key(9)]);
        assert_eq!(slots.capacity(), 6);
        assert!(slots.changed());
    }

    #[test]
    fn a_slot_is_not_reused_while_the_old_programs_still_count_there() {
        let existing = BTreeMap::from([(key(1), 1)]);
        let slots = Slots::assign(&[peer(2)], &existing).expect("few peers");
        assert_eq!((slots.as_slice(), &slots.gone), (&[2][..], &vec![key(1)]));
    }
}
