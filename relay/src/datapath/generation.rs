//! One policy, loaded: fresh maps that are filled before anything uses them, and programs with
//! that policy's constants.

use std::{sync::LazyLock, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, LpmTrie, Map, MapData, lpm_trie::Key},
    programs::{SchedClassifier, TestRun as _, TestRunOptions},
};
use blake2::{Blake2s256, Digest as _};
use bytemuck::Pod;
use ipnet::IpNet;
use relay_common::{
    Generation, Leaf, Pair, PairCounters, PeerCounters,
    counters::REFUSED_STRIDE,
    names::{self, ABI_VERSION},
    question::QUESTION,
};

use super::{
    DatapathError, Direction, Epoch, Pins, Recorder, RefusedCounts, counters,
    mapped::Mapped,
    object, pairs,
    question::{self, Answer},
};
use crate::policy::Compiled;

/// The programs, as the build script made them.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay-ebpf"));

/// Names the programs.
static OBJECT_HASH: LazyLock<[u8; 32]> = LazyLock::new(|| Blake2s256::digest(OBJECT).into());

/// A generation whose programs are in the kernel, not yet attached.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Ebpf,
}

/// Names a compiled policy together with the programs that carry it out: equal hashes behave
/// alike.
pub fn policy_hash(compiled: &Compiled) -> [u8; 16] {
    let mut hash = Blake2s256::new();
    hash.update(ABI_VERSION.to_le_bytes());
    hash.update(OBJECT_HASH.as_slice());
    for range in [&compiled.range_v4, &compiled.range_v6] {
        hash.update(range.base().to_le_bytes());
        hash.update(range.size().to_le_bytes());
    }
    for number in [compiled.mtu, compiled.features, compiled.host_policy as u32] {
        hash.update(number.to_le_bytes());
    }
    hash.update(compiled.listen_port.to_le_bytes());
    hash.update(compiled.relay_v4.map_or([0; 4], |address| address.octets()));
    hash.update(compiled.relay_v6.map_or([0; 16], |address| address.octets()));
    hash.update(bytemuck::cast_slice::<Leaf, u8>(&compiled.leaves_v4));
    hash.update(bytemuck::cast_slice::<Leaf, u8>(&compiled.leaves_v6));
    hash.update(bytemuck::cast_slice::<_, u8>(&compiled.pairs));
    for (prefix, leaf) in &compiled.prefixes {
        hash.update(prefix.to_string());
        hash.update(bytemuck::bytes_of(leaf));
    }
    for port in &compiled.host_ports {
        hash.update(port.to_le_bytes());
    }
    let mut name = [0; 16];
    name.copy_from_slice(&hash.finalize()[..16]);
    name
}

impl Loaded {
    /// Loads a compiled policy. With `pins`, counters are the pinned ones of that epoch, made if
    /// absent; without, the generation has counters of its own, for so many slots.
    ///
    /// # Errors
    /// The kernel refuses a map or a program.
    pub fn load(
        compiled: &Compiled,
        number: u64,
        pins: Option<(&Pins, Epoch)>,
        slots: u32,
    ) -> Result<Self, DatapathError> {
        let v6_base = compiled.range_v6.base();
        let (v4_host, v6_host) = (compiled.range_v4.size() - 1, compiled.range_v6.size() - 1);
        let v4_base = truncate(compiled.range_v4.base());
        let v6_high = low_half(v6_base >> 64);
        let v6_low = low_half(v6_base);
        let relay_v4 = compiled.relay_v4.map_or(0, std::net::Ipv4Addr::to_bits);
        let relay_v6 = compiled.relay_v6.map_or(0, std::net::Ipv6Addr::to_bits);
        let (relay_v6_high, relay_v6_low) = (low_half(relay_v6 >> 64), low_half(relay_v6));
        let listen_port = u32::from(compiled.listen_port);
        let host_policy = compiled.host_policy as u32;
        let decisive = names::FAST_PATH | names::TRACE | names::PAIR_STATS;
        let is_direct = compiled.features & decisive == names::FAST_PATH;
        let direct_mtu = if is_direct { compiled.mtu } else { 0 };
        // A map wants one entry at least.
        let pairs = if compiled.pairs.is_empty() { &[Pair::EMPTY] } else { &compiled.pairs[..] };
        let last_pair = size(pairs.len()) - 1;
        let prefixes = |v4: bool| {
            let count = compiled.prefixes.iter().filter(|(p, _)| p.addr().is_ipv4() == v4).count();
            size(count)
        };
        let capacity = match pins {
            Some((_, epoch)) => epoch.capacity,
            None => counters::capacity_for(slots),
        };

        let mut loader = EbpfLoader::new();
        loader
            .override_global(names::V4_BASE, &v4_base, true)
            .override_global(names::V4_HOST_MASK, &v4_host, true)
            .override_global(names::V6_BASE_HIGH, &v6_high, true)
            .override_global(names::V6_BASE_LOW, &v6_low, true)
            .override_global(names::V6_HOST_MASK, &v6_host, true)
            .override_global(names::LAST_PAIR, &last_pair, true)
            .override_global(names::RELAY_V4, &relay_v4, true)
            .override_global(names::RELAY_V6_HIGH, &relay_v6_high, true)
            .override_global(names::RELAY_V6_LOW, &relay_v6_low, true)
            .override_global(names::LISTEN_PORT, &listen_port, true)
            .override_global(names::MTU, &compiled.mtu, true)
            .override_global(names::DIRECT_MTU, &direct_mtu, true)
            .override_global(names::FEATURES, &compiled.features, true)
            .override_global(names::HOST_POLICY, &host_policy, true)
            .map_max_entries(names::PREFIXES_V4, prefixes(true))
            .map_max_entries(names::PREFIXES_V6, prefixes(false))
            .map_max_entries(names::HOST_PORTS, size(compiled.host_ports.len()))
            .map_max_entries(names::ERRORS_DUE, slots)
            .map_max_entries(names::COUNTERS, capacity)
            .map_max_entries(names::REFUSED, capacity * REFUSED_STRIDE);
        if compiled.features & names::PAIR_STATS == 0 {
            // No program writes to it; its buckets alone would take 16 MiB.
            loader.map_max_entries(names::PAIR_COUNTERS, 1);
        }
        if compiled.features & names::TRACE == 0 {
            // No program writes to it, so it takes the least that the kernel gives.
            loader.map_max_entries(names::LOGS, 4096);
        }
        if let Some((pins, epoch)) = pins {
            loader
                .map_pin_path(names::COUNTERS, pins.counters(epoch.number))
                .map_pin_path(names::REFUSED, pins.refused(epoch.number))
                .map_pin_path(names::EVENTS, pins.events())
                .map_pin_path(names::EVENT_COUNT, pins.event_count());
            if compiled.features & names::PAIR_STATS != 0 {
                loader.map_pin_path(names::PAIR_COUNTERS, pins.pairs());
            }
        }
        let object = object::with_tables(
            OBJECT,
            &[
                (names::LEAVES_V4, bytemuck::cast_slice(&compiled.leaves_v4)),
                (names::LEAVES_V6, bytemuck::cast_slice(&compiled.leaves_v6)),
                (names::PAIRS, bytemuck::cast_slice(pairs)),
            ],
        )?;
        let object = bytemuck::cast_slice(&object);
        let ebpf = loader.load(object).map_err(|error| DatapathError::Load(Box::new(error)))?;
        let mut loaded = Self { ebpf };
        let version = pins.map_or(ABI_VERSION, |(pins, _)| pins.version());
        loaded.fill(compiled, number, version)?;
        if compiled.features & names::PAIR_STATS != 0 {
            pairs::prepare(loaded.map(names::PAIR_COUNTERS)?)?;
        }
        for direction in Direction::BOTH {
            loaded
                .program(direction)?
                .load()
                .map_err(DatapathError::program(direction.program(), "load"))?;
        }
        Ok(loaded)
    }

    /// One of its two programs.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn program(&mut self, direction: Direction) -> Result<&mut SchedClassifier, DatapathError> {
        let program = self.ebpf.program_mut(direction.program());
        program
            .ok_or(DatapathError::Lacks(direction.program()))?
            .try_into()
            .map_err(DatapathError::program(direction.program(), "find"))
    }

    /// Runs a program on a packet, as `BPF_PROG_TEST_RUN` does: nothing is sent.
    ///
    /// # Errors
    /// The kernel refuses the packet, which must have 54 bytes at least to be sure: it takes the
    /// first 14 for an Ethernet header, and wants behind that what its type says.
    pub fn run(&mut self, direction: Direction, packet: &Packet<'_>) -> Result<Run, DatapathError> {
        let mut out = vec![0; packet.bytes.len() + 256];
        let context = packet.context();
        let options = TestRunOptions {
            data_in: Some(packet.bytes),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let program = self.program(direction)?;
        let result = program
            .test_run(options)
            .map_err(DatapathError::program(direction.program(), "run"))?;
        out.truncate(result.data_size_out as usize);
        Ok(Run { verdict: result.return_value, packet: out })
    }

    /// Asks what would become of a packet from a peer behind the interface with this index; 0 is the
    /// loopback interface.
    ///
    /// # Errors
    /// The kernel refuses the packet, which must have [`super::SHORTEST_QUESTION`] bytes at least.
    pub fn ask(&mut self, interface: u32, packet: &[u8]) -> Result<Answer, DatapathError> {
        question::ask(self.program(Direction::Ingress)?, interface, packet)
    }

    /// Runs a program on a packet `repeat` times, each time on what the last left of it, and gives
    /// the last verdict and the average time of a run.
    ///
    /// # Errors
    /// The kernel refuses the packet, which must have 14 bytes at least.
    pub fn time(
        &mut self,
        direction: Direction,
        packet: &Packet<'_>,
        repeat: u32,
    ) -> Result<(u32, Duration), DatapathError> {
        let context = packet.context();
        let options = TestRunOptions {
            data_in: Some(packet.bytes),
            ctx_in: Some(&context),
            repeat,
            ..TestRunOptions::default()
        };
        let result = self
            .program(direction)?
            .test_run(options)
            .map_err(DatapathError::program(direction.program(), "time"))?;
        Ok((result.return_value, result.duration))
    }

    /// Traffic counted by this generation's own counters, loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn traffic(&mut self, slot: u32) -> Result<PeerCounters, DatapathError> {
        counters::traffic_of(self.array(names::COUNTERS)?, slot)
    }

    /// What a pair of slots exchanged, counted by this generation's own counters.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn pair(&mut self, source: u32, destination: u32) -> Result<PairCounters, DatapathError> {
        pairs::of(self.map(names::PAIR_COUNTERS)?, source, destination)
    }

    /// Refused packets counted by this generation's own counters, loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn refused(&mut self, slot: u32) -> Result<RefusedCounts, DatapathError> {
        counters::refused_of(self.array(names::REFUSED)?, slot)
    }

    /// Refused packets that this generation writes down from now on, loaded without pins.
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

    fn fill(
        &mut self,
        compiled: &Compiled,
        number: u64,
        abi_version: u32,
    ) -> Result<(), DatapathError> {
        let generation =
            Generation { abi_version, reserved: 0, number, policy_hash: policy_hash(compiled) };
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

/// A packet to run a program on, and what the kernel would say of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packet<'a> {
    /// It, from its IP header on.
    pub bytes: &'a [u8],
    /// Payload bytes of each segment of an aggregate; 0 is none.
    pub gso_size: u32,
    /// Segments of an aggregate; 0 is none.
    pub gso_segs: u32,
    /// Index of the interface whose program runs; 0 is the loopback interface.
    pub interface: u32,
    /// Index of the interface it entered by; 0 is none.
    pub ingress_interface: u32,
    /// Its mark.
    pub mark: u32,
}

/// What a program did with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its return code, a `TC_ACT_*` of include/uapi/linux/pkt_cls.h.
    pub verdict: u32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
}

/// Offset of the mark in `struct __sk_buff` (include/uapi/linux/bpf.h, 6.12).
const MARK: usize = 8;

impl<'a> Packet<'a> {
    /// One that asks: an aggregate of two, which the short way through the program leaves alone.
    pub(super) fn question(bytes: &'a [u8], interface: u32) -> Self {
        Self { bytes, gso_size: 1, gso_segs: 2, interface, ingress_interface: 0, mark: QUESTION }
    }

    /// The mark in what the kernel made of a context.
    pub(super) fn mark_of(context: &[u8; 192]) -> u32 {
        let mut mark = [0; 4];
        mark.copy_from_slice(&context[MARK..MARK + 4]);
        u32::from_ne_bytes(mark)
    }

    /// `struct __sk_buff` (include/uapi/linux/bpf.h, 6.12), of which the kernel takes the fields
    /// set here and wants zeros elsewhere.
    pub(super) fn context(&self) -> [u8; 192] {
        const INGRESS_IFINDEX: usize = 36;
        const IFINDEX: usize = 40;
        const GSO_SEGS: usize = 164;
        const GSO_SIZE: usize = 176;
        let mut context = [0; 192];
        for (offset, value) in [
            (MARK, self.mark),
            (INGRESS_IFINDEX, self.ingress_interface),
            (IFINDEX, self.interface),
            (GSO_SEGS, self.gso_segs),
            (GSO_SIZE, self.gso_size),
        ] {
            context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        context
    }
}

/// A leaf in the form that aya takes as a value.
fn words(leaf: &Leaf) -> [u32; 4] {
    bytemuck::cast(*leaf)
}

/// `max_entries` for so many: at least one, as the kernel asks.
fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// The lower 64 bits of an IPv6 address as a number.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
const fn low_half(address: u128) -> u64 {
    address as u64
}

/// An IPv4 address out of a range's number.
fn truncate(base: u128) -> u32 {
    u32::try_from(base).unwrap_or(u32::MAX)
}
