//! Slots: which counters belong to which public key and to which rule, for as long as it is
//! configured.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, Map, MapData};
use relay_common::counters::MAX_RULES;

use super::{
    DatapathError, entries,
    pinned::{MAX_PEERS, Pin, Pins, RULES, SLOTS},
};
use crate::model::{PublicKey, Relay, RuleName};

/// Slots of the configured peers and numbers of the configured rules, and which are new or no longer
/// used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    peers: Assigned<PublicKey>,
    rules: Assigned<RuleName>,
}

/// What is assigned in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Slot of each key.
    pub peers: BTreeMap<PublicKey, u32>,
    /// Number of each rule.
    pub rules: BTreeMap<RuleName, u32>,
}

/// Numbers of configured things, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assigned<K> {
    numbers: Vec<u32>,
    new: Vec<(K, u32)>,
    gone: Vec<K>,
}

impl Slots {
    /// Gives each peer, each relay of the site and each rule the number that it has, or else the lowest
    /// free one. Slot 0 is for packets of no peer, and number 0 for no rule.
    ///
    /// # Errors
    /// More peers or rules than numbers.
    pub fn assign(relay: &Relay, taken: &Taken) -> Result<Self, DatapathError> {
        let relays = relay.mesh.iter().flat_map(|mesh| &mesh.relays);
        let relays = relays.map(|relay| relay.public_key);
        let peers = relay.peers.iter().map(|peer| peer.public_key).chain(relays).collect();
        let peers = Assigned::of(peers, &taken.peers, MAX_PEERS)
            .map_err(|TooMany(found)| DatapathError::TooManyPeers { found, most: MAX_PEERS - 1 })?;
        let rules = relay.rules.iter().map(|rule| rule.name.clone()).collect();
        let rules = Assigned::of(rules, &taken.rules, MAX_RULES)
            .map_err(|TooMany(found)| DatapathError::TooManyRules { found, most: MAX_RULES - 1 })?;
        Ok(Self { peers, rules })
    }

    /// Slot of each peer, in the order of the configuration, then of each relay of the site.
    pub fn as_slice(&self) -> &[u32] {
        &self.peers.numbers
    }

    /// Number of each rule, in the order of the configuration.
    pub fn rules(&self) -> &[u32] {
        &self.rules.numbers
    }

    /// Number of slots that the counters need.
    pub fn capacity(&self) -> u32 {
        self.peers.numbers.iter().copied().max().unwrap_or(0) + 1
    }

    /// Slots of new keys.
    pub(super) fn new_slots(&self) -> Vec<u32> {
        self.peers.new_numbers()
    }

    /// Slots of those of these keys that are new.
    pub(super) fn of_new<T: Copy>(&self, of: &BTreeMap<PublicKey, T>) -> Vec<(u32, T)> {
        let new = self.peers.new.iter();
        new.filter_map(|(key, slot)| Some((*slot, *of.get(key)?))).collect()
    }

    /// Numbers of new rules.
    pub(super) fn new_rules(&self) -> Vec<u32> {
        self.rules.new_numbers()
    }

    /// Whether there are new keys or rules, or some that are gone.
    pub fn changed(&self) -> bool {
        self.peers.changed() || self.rules.changed()
    }
}

impl Taken {
    /// The slots of the peers alone.
    pub fn of_peers(peers: BTreeMap<PublicKey, u32>) -> Self {
        Self { peers, rules: BTreeMap::new() }
    }
}

/// More things than numbers.
struct TooMany(usize);

impl<K: Ord + Clone> Assigned<K> {
    /// Numbers below `end`.
    fn of(keys: Vec<K>, existing: &BTreeMap<K, u32>, end: u32) -> Result<Self, TooMany> {
        let mut taken: Vec<u32> = existing.values().copied().collect();
        taken.sort_unstable();
        let mut taken = taken.into_iter().peekable();
        let mut free = (1..end).filter(|number| {
            while taken.next_if(|taken| taken < number).is_some() {}
            taken.peek() != Some(number)
        });
        let mut new = Vec::new();
        let mut numbers = Vec::with_capacity(keys.len());
        for key in &keys {
            let number = match existing.get(key) {
                Some(&number) => number,
                None => {
                    let number = free.next().ok_or(TooMany(keys.len()))?;
                    new.push((key.clone(), number));
                    number
                }
            };
            numbers.push(number);
        }
        let keys: BTreeSet<_> = keys.into_iter().collect();
        let gone = existing.keys().filter(|key| !keys.contains(key)).cloned().collect();
        Ok(Self { numbers, new, gone })
    }

    fn new_numbers(&self) -> Vec<u32> {
        self.new.iter().map(|&(_, number)| number).collect()
    }

    fn changed(&self) -> bool {
        !self.new.is_empty() || !self.gone.is_empty()
    }
}

type Key = [u8; 32];
type Pinned = HashMap<MapData, Key, u32>;

/// What is pinned; nothing if no relay was up.
pub(super) fn read(pins: &Pins) -> Result<Taken, DatapathError> {
    Ok(Taken { peers: of_peers(pins)?, rules: of_rules(pins)? })
}

/// The slots that are pinned.
pub(super) fn of_peers(pins: &Pins) -> Result<BTreeMap<PublicKey, u32>, DatapathError> {
    let peers = all(&pins.map(&SLOTS))?.into_iter();
    Ok(peers.map(|(key, slot)| (PublicKey::from_bytes(key), slot)).collect())
}

/// The numbers of rules that are pinned.
pub(super) fn of_rules(pins: &Pins) -> Result<BTreeMap<RuleName, u32>, DatapathError> {
    let rules = all(&pins.map(&RULES))?.into_iter();
    Ok(rules.filter_map(|(key, number)| Some((name(&key)?, number))).collect())
}

/// Writes the numbers of new keys and rules.
pub(super) fn claim(pins: &Pins, slots: &Slots) -> Result<(), DatapathError> {
    let peers = slots.peers.new.iter().map(|&(key, slot)| (*key.as_bytes(), slot));
    write(&pins.map(&SLOTS), MAX_PEERS, SLOTS.flags(), peers)?;
    if slots.rules.new.is_empty() {
        return Ok(());
    }
    let rules = slots.rules.new.iter().map(|(name, number)| (key(name), *number));
    write(&pins.map(&RULES), MAX_RULES, RULES.flags(), rules)
}

/// Frees the numbers of what is gone. After the switch: until then the old programs count there.
pub(super) fn release(pins: &Pins, slots: &Slots) -> Result<(), DatapathError> {
    remove(&pins.map(&SLOTS), slots.peers.gone.iter().map(|key| *key.as_bytes()))?;
    remove(&pins.map(&RULES), slots.rules.gone.iter().map(key))
}

/// A rule's name as a key: zeros behind its end.
fn key(name: &RuleName) -> Key {
    let mut key = [0; RuleName::MAX_LEN];
    key[..name.as_str().len()].copy_from_slice(name.as_str().as_bytes());
    key
}

fn name(key: &Key) -> Option<RuleName> {
    let len = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    std::str::from_utf8(&key[..len]).ok()?.parse().ok()
}

fn all(pin: &Pin) -> Result<Vec<(Key, u32)>, DatapathError> {
    let Some(pinned) = open(pin)? else { return Ok(Vec::new()) };
    entries::all(&pinned).map_err(DatapathError::map("slots", "read"))
}

fn write(
    pin: &Pin,
    end: u32,
    flags: u32,
    entries: impl Iterator<Item = (Key, u32)>,
) -> Result<(), DatapathError> {
    let mut pinned = match open(pin)? {
        Some(pinned) => pinned,
        None => create(pin, end, flags)?,
    };
    entries::insert_all(&mut pinned, entries).map_err(DatapathError::map("slots", "write"))
}

fn remove(pin: &Pin, keys: impl Iterator<Item = Key>) -> Result<(), DatapathError> {
    let Some(mut pinned) = open(pin)? else { return Ok(()) };
    for key in keys {
        pinned.remove(&key).map_err(DatapathError::map("slots", "write"))?;
    }
    Ok(())
}

fn open(pin: &Pin) -> Result<Option<Pinned>, DatapathError> {
    let Some(map) = pin.open()? else { return Ok(None) };
    let opened = Map::from_map_data(map).and_then(Pinned::try_from);
    opened.map(Some).map_err(DatapathError::map("slots", "open"))
}

fn create(pin: &Pin, end: u32, flags: u32) -> Result<Pinned, DatapathError> {
    let created = Pinned::create(end, flags);
    let created = created.map_err(DatapathError::map("slots", "create"))?;
    pin.pin(|path| created.pin(path))?;
    open(pin)?.ok_or(DatapathError::Lacks("the slots that were just pinned"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Peer, Rule};

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn relay(peers: &[u8], rules: &[&str]) -> Relay {
        let peer = |&byte| Peer::new(format!("p{byte}").parse().expect("a name"), key(byte));
        Relay {
            peers: peers.iter().map(peer).collect(),
            rules: rules.iter().map(|name| Rule::new(name.parse().expect("a name"))).collect(),
            ..Relay::new("relay0".parse().expect("a name"))
        }
    }

    #[test]
    fn a_key_keeps_its_slot_and_a_new_one_takes_the_lowest_free() {
        let existing = Taken::of_peers(BTreeMap::from([(key(1), 1), (key(2), 4), (key(9), 2)]));
        let slots = Slots::assign(&relay(&[2, 5, 1, 6], &[]), &existing).expect("few peers");
        assert_eq!(slots.as_slice(), [4, 3, 1, 5]);
        assert_eq!(slots.peers.gone, [key(9)]);
        assert_eq!(slots.capacity(), 6);
        assert!(slots.changed());
    }

    #[test]
    fn a_slot_is_not_reused_while_the_old_programs_still_count_there() {
        let existing = Taken::of_peers(BTreeMap::from([(key(1), 1)]));
        let slots = Slots::assign(&relay(&[2], &[]), &existing).expect("few peers");
        assert_eq!((slots.as_slice(), &slots.peers.gone), (&[2][..], &vec![key(1)]));
    }

    #[test]
    fn a_rule_keeps_its_number_by_its_name() {
        let name = |name: &str| name.parse::<RuleName>().expect("a name");
        let rules = BTreeMap::from([(name("ssh"), 2), (name("old"), 1)]);
        let taken = Taken { rules, ..Taken::default() };
        let slots = Slots::assign(&relay(&[], &["web", "ssh"]), &taken).expect("few rules");
        assert_eq!(slots.rules(), [3, 2]);
        assert_eq!(slots.rules.gone, [name("old")]);
        let longest = "a".repeat(RuleName::MAX_LEN);
        for text in ["ssh", &longest] {
            assert_eq!(super::name(&super::key(&name(text))), Some(name(text)));
        }
    }
}
