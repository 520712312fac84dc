//! Generations of the programs of a relay, one after the other on the same pinned maps, run on single
//! packets on this machine's kernel. They are attached to nothing.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path};

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use relay::{
    datapath::{Answer, Direction, Epoch, Loaded, Packet, Pins, Run, Slots, Taken},
    model::Relay,
    policy::{Compiled, Sources, compile},
};
use relay_common::{
    PeerCounters, Reason,
    counters::RuleCounters,
    flow::{FlowSet, Key, Record, SETS, WAYS, place, ticks},
    meter::Used,
};

use crate::{bpffs::Bpffs, clock::since_boot, inner::Inner};

/// The generation in force, and the maps that outlive it.
pub struct Generations {
    relay: Relay,
    slots: Slots,
    compiled: Compiled,
    loaded: Loaded,
    number: u64,
    flows: Table,
    fragments: Table,
    seed: u64,
    taken: Taken,
    pins: Pins,
    _bpffs: Bpffs,
}

/// Words of a record, and of a set: tags, then records.
const RECORD: usize = size_of::<Record>() / size_of::<u64>();
const SET: usize = WAYS + WAYS * RECORD;

const _: () = assert!(SET * size_of::<u64>() == size_of::<FlowSet>());

/// Tags below this are of empty places.
const FIRST_TAG: u64 = 2;

type Table = Array<MapData, [u64; SET]>;

impl Generations {
    /// Compiles and loads the first generation of a relay, which has rules.
    pub fn begin(relay: Relay) -> Result<Self> {
        let bpffs = Bpffs::mount()?;
        let pins = Pins::open(bpffs.path(), relay.interface.as_str())?;
        DirBuilder::new().recursive(true).mode(0o700).create(pins.dir())?;
        let mut taken = Taken::default();
        let (slots, compiled, loaded) = load(&relay, &mut taken, &pins, 1)?;
        let flow_seed: Array<_, u64> = pinned(&pins, "flow_seed")?;
        Ok(Self {
            flows: pinned(&pins, "flows")?,
            fragments: pinned(&pins, "fragments")?,
            seed: flow_seed.get(&0, 0)?,
            relay,
            slots,
            compiled,
            loaded,
            number: 1,
            taken,
            pins,
            _bpffs: bpffs,
        })
    }

    /// Compiles and loads the next one. Rules keep their numbers by their names.
    pub fn switch(&mut self, relay: Relay) -> Result<()> {
        self.number += 1;
        let next = load(&relay, &mut self.taken, &self.pins, self.number)?;
        (self.slots, self.compiled, self.loaded) = next;
        self.relay = relay;
        Ok(())
    }

    /// The relay in force.
    pub const fn relay(&self) -> &Relay {
        &self.relay
    }

    /// What the policy was compiled from.
    pub fn sources(&self) -> Sources<'_> {
        Sources { relay: &self.relay, host_addresses: &[], slots: self.slots.as_slice() }
    }

    /// The compiled policy.
    pub const fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Number of each rule, in the order of the relay.
    pub fn rules(&self) -> &[u32] {
        self.slots.rules()
    }

    /// Number of the generation.
    pub fn number(&self) -> u32 {
        u32::try_from(self.number).expect("few generations")
    }

    /// Runs the ingress program on a packet from a peer.
    pub fn ingress(&mut self, inner: &Inner) -> Result<Run> {
        let packet = Packet { bytes: inner.bytes(), ingress_interface: 1, ..Packet::default() };
        Ok(self.loaded.run(Direction::Ingress, &packet)?)
    }

    /// Probes the ingress program with a packet from a peer.
    pub fn ask(&mut self, inner: &Inner) -> Result<Answer> {
        Ok(self.loaded.probe(0, inner.bytes())?)
    }

    /// Number of the set of a flow that this slot begins.
    pub fn set(&self, key: &Key, slot: u32) -> u32 {
        place(key, self.seed, slot).0
    }

    /// The records that have not expired where a flow of this slot would be, by its tag.
    pub fn flows_at(&self, key: &Key, slot: u32) -> Result<Vec<Record>> {
        let (set, tag) = place(key, self.seed, slot);
        let words = self.flows.get(&set, 0)?;
        let found = live(&words, now()?).filter(|(found, _)| *found == tag);
        Ok(found.map(|(_, record)| record).collect())
    }

    /// The records of all flows that have not expired.
    pub fn flows(&self) -> Result<Vec<Record>> {
        let now = now()?;
        let mut records = Vec::new();
        for set in 0..SETS {
            records.extend(live(&self.flows.get(&set, 0)?, now).map(|(_, record)| record));
        }
        Ok(records)
    }

    /// Lets this many ticks pass for flows in these sets, and for datagrams in fragments: what they
    /// have left becomes less.
    pub fn age(&mut self, by: u32, sets: impl IntoIterator<Item = u32>) -> Result<()> {
        for set in sets {
            age(&mut self.flows, set, |record| {
                record.expires = record.expires.saturating_sub(by);
                record.started = record.started.saturating_sub(by);
            })?;
        }
        // The number of the set of a peer's datagrams is that of its slot.
        let slots = self.slots.as_slice();
        slots.iter().try_for_each(|slot| {
            age(&mut self.fragments, *slot, |record| {
                record.expires = record.expires.saturating_sub(by);
            })
        })
    }

    /// Dropped packets of a slot, by [`Reason::index`].
    pub fn dropped(&mut self, slot: u32) -> Result<[u64; Reason::COUNT]> {
        Ok(self.loaded.dropped(slot)?)
    }

    /// Traffic of a slot.
    pub fn traffic(&mut self, slot: u32) -> Result<PeerCounters> {
        Ok(self.loaded.traffic(slot)?)
    }

    /// Traffic of a rule, by its number.
    pub fn rule(&self, number: u32) -> Result<RuleCounters> {
        let counters: Array<_, [u64; 4]> = pinned(&self.pins, "rule_counters")?;
        let [packets, bytes, flows, last_ns] = counters.get(&number, 0)?;
        Ok(RuleCounters { packets, bytes, flows, last_ns })
    }

    /// What a slot has used of its limits.
    pub fn used(&self, slot: u32) -> Result<Used> {
        let meters: Array<_, [u64; 8]> = pinned(&self.pins, "meters_0")?;
        Ok(bytemuck::cast(meters.get(&slot, 0)?))
    }

    /// Sets what a slot has used.
    pub fn set_used(&self, slot: u32, used: Used) -> Result<()> {
        let mut meters: Array<_, [u64; 8]> = pinned(&self.pins, "meters_0")?;
        let words: [u64; 8] = bytemuck::cast(used);
        Ok(meters.set(slot, words, 0)?)
    }
}

fn load(
    relay: &Relay,
    taken: &mut Taken,
    pins: &Pins,
    number: u64,
) -> Result<(Slots, Compiled, Loaded)> {
    let slots = Slots::assign(relay, taken)?;
    let sources = Sources { relay, host_addresses: &[], slots: slots.as_slice() };
    let compiled = compile(&sources, slots.rules())?;
    let epoch = Epoch { number: 0, capacity: 256, groups: 2 };
    let loaded = Loaded::load(&compiled, number, Some((pins, epoch)), slots.capacity())?;
    let keys = relay.peers.iter().map(|peer| peer.public_key);
    let names = relay.rules.iter().map(|rule| rule.name.clone());
    *taken = Taken {
        peers: keys.zip(slots.as_slice().iter().copied()).collect(),
        rules: names.zip(slots.rules().iter().copied()).collect(),
    };
    Ok((slots, compiled, loaded))
}

fn pinned<V: aya::Pod>(pins: &Pins, name: &str) -> Result<Array<MapData, V>> {
    open(&pins.dir().join(name)).with_context(|| format!("open the pinned map {name}"))
}

fn open<V: aya::Pod>(path: &Path) -> Result<Array<MapData, V>> {
    Ok(Map::from_map_data(MapData::from_pin(path)?)?.try_into()?)
}

/// The tags and records of a set that have not expired.
fn live(words: &[u64; SET], now: u32) -> impl Iterator<Item = (u64, Record)> + '_ {
    let (tags, records) = words.split_at(WAYS);
    let records = records
        .chunks_exact(RECORD)
        .map(|words| *bytemuck::from_bytes(bytemuck::cast_slice(words)));
    tags.iter()
        .copied()
        .zip(records)
        .filter(move |(tag, record): &(u64, Record)| *tag >= FIRST_TAG && record.expires > now)
}

fn age(table: &mut Table, set: u32, age: impl Fn(&mut Record)) -> Result<()> {
    let mut words = table.get(&set, 0)?;
    for record in words[WAYS..].chunks_exact_mut(RECORD) {
        age(bytemuck::from_bytes_mut(bytemuck::cast_slice_mut(record)));
    }
    Ok(table.set(set, words, 0)?)
}

fn now() -> Result<u32> {
    Ok(ticks(u64::try_from(since_boot()?.as_nanos())?))
}
