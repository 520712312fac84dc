//! A generation: one policy, loaded as fresh maps, filled before anything uses them, and programs with
//! its constants.

use std::time::Duration;

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, LpmTrie, Map, MapData, lpm_trie::Key},
    programs::SchedClassifier,
};
use bytemuck::Pod;
use ipnet::IpNet;
use relay_common::{
    Generation, Leaf, PairCounters, PeerCounters,
    counters::{DROPPED_STRIDE, MAX_PAIRS_COUNTED, MAX_RULES, RuleCounters},
    event::EVENTS_KEPT,
    flow::{DATAGRAM_SETS, SETS},
    mesh::{Home, MOVES_LEN},
    meter::Used,
    names,
    trial::MAX_DIFFERENCES,
    usage::{MAX_HOLDERS, MAX_USES},
};

use super::{
    DatapathError, clock,
    constants::Constants,
    counters::{self, DroppedCounts, Epoch},
    differences,
    events::Recorder,
    flows::{self, LiveFlow},
    frozen::freeze,
    hash::policy_hash,
    homes, load, meters,
    object::{self, OBJECT},
    pairs,
    pinned::{
        COUNTERS, DIFFERENCES, DROPPED, EVENT_COUNT, EVENTS, FLOWS, FRAGMENTS, HELD, HELD_PLACES,
        HOLDERS, HOMES, METERS, MOVES, Mapped, PAIRS, Pins, RULE_COUNTERS, SPREAD, TRIED, USES,
        abi_version,
    },
    probe::{self, Answer},
    role::Role,
    rules,
    tables::Tables,
    test_run::{Packet, Run, run, time},
    usage::{self, Usage},
};
use crate::{model::Direction, policy::Compiled};

/// A generation whose programs are in the kernel, not yet attached.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Ebpf,
    role: Role,
    /// What it counts in.
    epoch: Epoch,
}

impl Loaded {
    /// Loads a compiled policy. With `pins` it counts in the pinned maps of that epoch, created if
    /// absent; without, in maps of its own, for this many slots.
    ///
    /// # Errors
    /// A pinned map has another shape. The kernel does not load a map or a program.
    pub fn load(
        compiled: &Compiled,
        number: u64,
        pins: Option<(&Pins, Epoch)>,
        slots: u32,
    ) -> Result<Self, DatapathError> {
        Self::load_as(Role::Alone, compiled, number, pins, slots)
    }

    /// The same, in maps of its own, with programs that count what peers use of each other.
    ///
    /// # Errors
    /// The kernel does not load a map or a program.
    pub fn load_learning(
        compiled: &Compiled,
        number: u64,
        slots: u32,
    ) -> Result<Self, DatapathError> {
        Self::load_as(Role::Learning, compiled, number, None, slots)
    }

    /// The same for a role. A candidate decides about the flows and the use of limits that there are,
    /// in copies of its own.
    pub(super) fn load_as(
        role: Role,
        compiled: &Compiled,
        number: u64,
        pins: Option<(&Pins, Epoch)>,
        slots: u32,
    ) -> Result<Self, DatapathError> {
        let is_trial = role == Role::Trial;
        // What a candidate would log or count decides nothing, nor does where peers are at home.
        let omitted = if is_trial { names::TRACE | names::PAIR_STATS | names::MESH } else { 0 };
        let features = compiled.features & !omitted;
        let has_rules = features & names::RULES != 0;
        let has_limits = features & names::LIMITED != 0;
        let has_mesh = features & names::MESH != 0;
        let tai_offset_s = clock::tai_offset_s();
        let flow_seed = match pins {
            Some((pins, _)) if has_rules => flows::seed(pins)?,
            Some(_) | None => flows::random(),
        };
        let tables = Tables::of(compiled, tai_offset_s);
        let epoch = match pins {
            Some((_, epoch)) if !is_trial => epoch,
            Some(_) => Epoch::of_one_group(slots),
            None => Epoch::with_room(0, slots)?,
        };
        let capacity = epoch.capacity;
        let constants =
            Constants::of(compiled, &tables, (number, features), (tai_offset_s, flow_seed), epoch);
        let prefixes = |v4: bool| {
            let count = compiled.prefixes.iter().filter(|(p, _)| p.addr().is_ipv4() == v4).count();
            size(count)
        };

        let mut loader = EbpfLoader::new();
        constants.set(&mut loader);
        loader
            .map_max_entries(names::PREFIXES_V4, prefixes(true))
            .map_max_entries(names::PREFIXES_V6, prefixes(false))
            .map_max_entries(names::HOST_PORTS, size(compiled.host_ports.len()))
            .map_max_entries(names::ERRORS_DUE, slots)
            .map_max_entries(names::COUNTERS, capacity)
            .map_max_entries(names::DROPPED, capacity * DROPPED_STRIDE);
        if epoch.groups > 1 {
            loader.map_max_entries(names::SPREAD, capacity * epoch.groups);
        }
        let counts_pairs = features & names::PAIR_STATS != 0;
        if !counts_pairs {
            // No program writes to it; its buckets alone would take 16 MiB.
            loader.map_max_entries(names::PAIR_COUNTERS, 1);
        }
        if features & names::TRACE == 0 {
            // No program writes to it, so it has the smallest size.
            loader.map_max_entries(names::LOGS, 4096);
        }
        if has_rules {
            loader
                .map_max_entries(names::FLOWS, SETS)
                .map_max_entries(names::FRAGMENTS, DATAGRAM_SETS)
                .map_max_entries(names::HELD, HELD_PLACES)
                .map_max_entries(names::OPENINGS_DUE, slots)
                .map_max_entries(names::RULE_COUNTERS, MAX_RULES);
        }
        if has_limits {
            loader.map_max_entries(names::METERS, capacity);
        }
        if has_mesh {
            loader.map_max_entries(names::HOMES, capacity);
        } else {
            loader.map_max_entries(names::MOVES, 4096);
        }
        if role != Role::Comparing {
            loader.map_max_entries(names::DIFFERENCES, 1);
        }
        if role != Role::Learning {
            loader.map_max_entries(names::USES, 1).map_max_entries(names::HOLDERS, 1);
        }
        if let Some((pins, _)) = pins.filter(|_| matches!(role, Role::Comparing | Role::Trial)) {
            pins.map(&TRIED).bind(&mut loader, 1)?;
        }
        if let Some((pins, _)) = pins.filter(|_| role == Role::Learning) {
            pins.map(&USES).bind(&mut loader, MAX_USES)?;
            pins.map(&HOLDERS).bind(&mut loader, MAX_HOLDERS)?;
        }
        if let Some((pins, _)) = pins.filter(|_| role == Role::Comparing) {
            pins.map(&DIFFERENCES).bind(&mut loader, MAX_DIFFERENCES)?;
        }
        if let Some((pins, epoch)) = pins.filter(|_| !is_trial) {
            pins.epoch_of(&COUNTERS, epoch.number).bind(&mut loader, capacity)?;
            if epoch.groups > 1 {
                let entries = capacity * epoch.groups;
                pins.epoch_of(&SPREAD, epoch.number).bind(&mut loader, entries)?;
            }
            let entries = capacity * DROPPED_STRIDE;
            pins.epoch_of(&DROPPED, epoch.number).bind(&mut loader, entries)?;
            pins.map(&EVENTS).bind(&mut loader, EVENTS_KEPT)?;
            pins.map(&EVENT_COUNT).bind(&mut loader, 1)?;
            if counts_pairs {
                pins.map(&PAIRS).bind(&mut loader, MAX_PAIRS_COUNTED)?;
            }
            if has_rules {
                pins.map(&FLOWS).bind(&mut loader, SETS)?;
                pins.map(&FRAGMENTS).bind(&mut loader, DATAGRAM_SETS)?;
                pins.map(&HELD).bind(&mut loader, HELD_PLACES)?;
                pins.map(&RULE_COUNTERS).bind(&mut loader, MAX_RULES)?;
            }
            if has_limits {
                pins.epoch_of(&METERS, epoch.number).bind(&mut loader, capacity)?;
            }
            if has_mesh {
                pins.epoch_of(&HOMES, epoch.number).bind(&mut loader, capacity)?;
                pins.map(&MOVES).bind(&mut loader, MOVES_LEN)?;
            }
        }
        let object = object::with_tables(OBJECT, &tables.sections())?;
        let object = bytemuck::cast_slice(&object);
        let ebpf = loader.load(object).map_err(|error| DatapathError::Load(Box::new(error)))?;
        let mut loaded = Self { ebpf, role, epoch };
        let abi_version = pins.map_or_else(abi_version, |(pins, _)| pins.version());
        let policy_hash = policy_hash(compiled);
        loaded.fill(compiled, Generation { abi_version, tai_offset_s, number, policy_hash })?;
        loaded.freeze()?;
        if counts_pairs {
            pairs::prepare(loaded.map(names::PAIR_COUNTERS)?)?;
        }
        if role == Role::Comparing {
            differences::prepare(loaded.map(names::DIFFERENCES)?)?;
        }
        if role == Role::Learning {
            usage::prepare(loaded.map(names::USES)?)?;
        }
        if let Some((pins, _)) = pins.filter(|_| is_trial) {
            if has_rules {
                flows::copy(pins, loaded.array(names::FLOWS)?)?;
            }
            if has_limits {
                meters::copy(pins, loaded.array(names::METERS)?, capacity)?;
            }
        }
        for &direction in role.directions() {
            let name = loaded.name(direction);
            let program = loaded.program(direction)?;
            load::load(name, || program.load())?;
        }
        Ok(loaded)
    }

    /// One of its programs.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn program(&mut self, direction: Direction) -> Result<&mut SchedClassifier, DatapathError> {
        let name = self.name(direction);
        let program = self.ebpf.program_mut(name);
        program
            .ok_or(DatapathError::Lacks(name))?
            .try_into()
            .map_err(DatapathError::program(name, "find"))
    }

    /// Name of its program.
    pub(super) const fn name(&self, direction: Direction) -> &'static str {
        self.role.program(direction)
    }

    /// Runs a program on a packet by `BPF_PROG_TEST_RUN`; nothing is sent.
    ///
    /// # Errors
    /// The kernel does not take the packet, which must have at least [`super::SHORTEST_PROBE`] bytes.
    pub fn run(&mut self, direction: Direction, packet: &Packet<'_>) -> Result<Run, DatapathError> {
        run(self.program(direction)?, direction.program(), packet)
    }

    /// Asks for the verdict on a packet from a peer behind the interface with this index; 0 is the
    /// loopback interface.
    ///
    /// # Errors
    /// The kernel does not take the packet, which must have at least [`super::SHORTEST_PROBE`] bytes.
    pub fn probe(&mut self, interface: u32, packet: &[u8]) -> Result<Answer, DatapathError> {
        probe::run(self.program(Direction::Ingress)?, interface, packet)
    }

    /// Runs a program on a packet `repeat` times, each time on the result of the last run, and
    /// returns the last verdict and the average time of a run.
    ///
    /// # Errors
    /// The kernel does not take the packet, which must have at least 14 bytes.
    pub fn time(
        &self,
        direction: Direction,
        packet: &Packet<'_>,
        repeat: u32,
    ) -> Result<(u32, Duration), DatapathError> {
        let name = self.name(direction);
        let program = self.ebpf.program(name).ok_or(DatapathError::Lacks(name))?;
        let program = program.try_into().map_err(DatapathError::program(name, "find"))?;
        time(program, direction, packet, repeat)
    }

    /// Traffic of a slot, in the maps of a generation loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn traffic(&mut self, slot: u32) -> Result<PeerCounters, DatapathError> {
        let maps = (self.array(names::COUNTERS)?, self.array(names::SPREAD)?);
        counters::traffic_of(maps, self.epoch, slot)
    }

    /// Traffic of a pair of slots, in the maps of a generation loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn pair(&mut self, source: u32, destination: u32) -> Result<PairCounters, DatapathError> {
        pairs::of(self.map(names::PAIR_COUNTERS)?, source, destination)
    }

    /// Traffic of a rule by its number, in the map of a generation loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn rule(&self, number: u32) -> Result<RuleCounters, DatapathError> {
        rules::of(self.array(names::RULE_COUNTERS)?, number)
    }

    /// What a slot has used of its limits, in the map of a generation with limits.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn used(&self, slot: u32) -> Result<Used, DatapathError> {
        meters::of(self.array(names::METERS)?, slot)
    }

    /// Where the peer of a slot is at home, in the map of a generation with a mesh.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn home(&self, slot: u32) -> Result<Home, DatapathError> {
        homes::of(self.array(names::HOMES)?, slot)
    }

    /// Sets it.
    ///
    /// # Errors
    /// The map cannot be written.
    pub fn set_home(&mut self, slot: u32, home: Home) -> Result<(), DatapathError> {
        homes::set(self.array(names::HOMES)?, slot, home)
    }

    /// The slots of peers that have come home, in the ring of a generation with a mesh that was loaded
    /// without pins.
    ///
    /// # Errors
    /// The ring cannot be read.
    pub fn moved(&mut self) -> Result<Vec<u32>, DatapathError> {
        homes::moved(self.map(names::MOVES)?)
    }

    /// What peers have used of each other, in the maps of a generation loaded without pins.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn usage(&self) -> Result<Usage, DatapathError> {
        let map = |name| self.ebpf.map(name).ok_or(DatapathError::Lacks(name));
        usage::of(map(names::USES)?, map(names::HOLDERS)?)
    }

    /// Live flows, in the map of a generation with rules.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn flows(&self) -> Result<Vec<LiveFlow>, DatapathError> {
        flows::of(self.array(names::FLOWS)?)
    }

    /// Dropped packets of a slot, in the maps of a generation loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn dropped(&mut self, slot: u32) -> Result<DroppedCounts, DatapathError> {
        counters::dropped_of(self.array(names::DROPPED)?, slot)
    }

    /// Dropped packets from now on, in the maps of a generation loaded without pins.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn recorder(&self) -> Result<Recorder, DatapathError> {
        Recorder::of(self.array(names::EVENTS)?, self.array(names::EVENT_COUNT)?, 0)
    }

    /// The object, for aya-log.
    pub(super) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn fill(&mut self, compiled: &Compiled, generation: Generation) -> Result<(), DatapathError> {
        self.fill_array(names::GENERATION, &[generation])?;

        let map = self.map(names::PREFIXES_V4)?;
        let failed = || DatapathError::map(names::PREFIXES_V4, "fill");
        let mut v4 = LpmTrie::<_, [u8; 4], [u32; 4]>::try_from(map).map_err(failed())?;
        for (prefix, leaf) in &compiled.prefixes {
            if let IpNet::V4(net) = prefix {
                let key = Key::new(u32::from(net.prefix_len()), net.network().octets());
                v4.insert(&key, words(leaf), 0).map_err(failed())?;
            }
        }
        let map = self.map(names::PREFIXES_V6)?;
        let failed = || DatapathError::map(names::PREFIXES_V6, "fill");
        let mut v6 = LpmTrie::<_, [u8; 16], [u32; 4]>::try_from(map).map_err(failed())?;
        for (prefix, leaf) in &compiled.prefixes {
            if let IpNet::V6(net) = prefix {
                let key = Key::new(u32::from(net.prefix_len()), net.network().octets());
                v6.insert(&key, words(leaf), 0).map_err(failed())?;
            }
        }
        let map = self.map(names::HOST_PORTS)?;
        let failed = || DatapathError::map(names::HOST_PORTS, "fill");
        let mut ports = HashMap::<_, u32, u32>::try_from(map).map_err(failed())?;
        for port in &compiled.host_ports {
            ports.insert(port, 1, 0).map_err(failed())?;
        }
        Ok(())
    }

    /// Closes the maps of the policy, as aya does with the arrays of the programs' data.
    fn freeze(&self) -> Result<(), DatapathError> {
        for name in [names::PREFIXES_V4, names::PREFIXES_V6, names::HOST_PORTS] {
            let Some(Map::LpmTrie(map) | Map::HashMap(map)) = self.ebpf.map(name) else {
                return Err(DatapathError::Lacks(name));
            };
            freeze(map).map_err(DatapathError::map(name, "freeze"))?;
        }
        Ok(())
    }

    fn fill_array<T: Pod>(
        &mut self,
        name: &'static str,
        elements: &[T],
    ) -> Result<(), DatapathError> {
        let map = self.array(name)?;
        Mapped::new(name, map, elements.len().max(1))?.fill(elements);
        Ok(())
    }

    fn array(&self, name: &'static str) -> Result<&MapData, DatapathError> {
        match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            Some(_) | None => Err(DatapathError::Lacks(name)),
        }
    }

    fn map(&mut self, name: &'static str) -> Result<&mut Map, DatapathError> {
        self.ebpf.map_mut(name).ok_or(DatapathError::Lacks(name))
    }
}

/// A leaf as a value for aya.
fn words(leaf: &Leaf) -> [u32; 4] {
    bytemuck::cast(*leaf)
}

/// `max_entries` for a number of entries: at least one, as the kernel requires.
fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}
