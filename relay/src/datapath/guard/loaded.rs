//! One guard, loaded: its constants set, its maps there.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
    time::Duration,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, MapType},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use blake2::{Blake2s256, Digest as _};
use relay_common::{
    bucket::Bucket,
    guard::{Attempt, Flow, FlowKey, Identity, keyed},
    names::{self, ABI_VERSION, GUARD_PROGRAM},
};

use super::{
    super::{DatapathError, Pins, mapped::Mapped, shape::Shape},
    GuardCounts, GuardSettings, counts, overlay,
};

/// The program, as the build script made it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay-guard"));

/// Names the program.
static OBJECT_HASH: LazyLock<[u8; 32]> = LazyLock::new(|| Blake2s256::digest(OBJECT).into());

/// What MAC1's key is made of, beside the public key (WireGuard paper, section 5.4.4).
const MAC1_LABEL: &[u8] = b"mac1----";

const SOURCES_SHAPE: Shape = lru_hash(8, 8);
const FLOWS_SHAPE: Shape = lru_hash(24, 16);
pub(super) const ATTEMPTS_SHAPE: Shape = lru_hash(24, 32);

const _: () = assert!(size_of::<FlowKey>() == FLOWS_SHAPE.key_size as usize);
const _: () = assert!(size_of::<Flow>() == FLOWS_SHAPE.value_size as usize);
const _: () = assert!(size_of::<Attempt>() == ATTEMPTS_SHAPE.value_size as usize);

/// Of any size: the configuration says which.
const fn lru_hash(key_size: u32, value_size: u32) -> Shape {
    Shape { kind: MapType::LruHash, key_size, value_size, flags: 0, entries: None }
}

/// A guard whose program is in the kernel, not yet attached.
#[derive(Debug)]
pub struct LoadedGuard {
    ebpf: Ebpf,
}

impl GuardSettings {
    /// Names these settings together with the program that carries them out.
    pub fn hash(&self) -> [u8; 16] {
        let mut hash = Blake2s256::new();
        hash.update(ABI_VERSION.to_le_bytes());
        hash.update(OBJECT_HASH.as_slice());
        hash.update(self.port.to_le_bytes());
        hash.update(self.public_key.as_bytes());
        for number in [self.initiations_per_second, self.burst, self.sources] {
            hash.update(number.to_le_bytes());
        }
        for net in &self.overlay {
            hash.update(net.to_string());
        }
        let mut name = [0; 16];
        name.copy_from_slice(&hash.finalize()[..16]);
        name
    }

    fn identity(&self, abi_version: u32) -> Identity {
        let key = Blake2s256::new().chain_update(MAC1_LABEL);
        let key = key.chain_update(self.public_key.as_bytes()).finalize();
        Identity {
            abi_version,
            reserved: 0,
            settings_hash: self.hash(),
            mac1_state: keyed(&key.into()),
        }
    }
}

impl LoadedGuard {
    /// Loads a guard. With `pins`, counts, sources and flows are the pinned ones, made if absent;
    /// without, it has its own.
    ///
    /// # Errors
    /// The kernel refuses a map or the program. What is pinned is of another shape.
    pub fn load(settings: &GuardSettings, pins: Option<&Pins>) -> Result<Self, DatapathError> {
        let limit = Bucket::new(settings.initiations_per_second, settings.burst);
        let glance = overlay::glance(settings.port, &settings.overlay);
        let room = settings.sources.max(1);
        let networks = u32::try_from(settings.overlay.len()).unwrap_or(u32::MAX);
        let seed = RandomState::new().hash_one(settings.port);
        let mut loader = EbpfLoader::new();
        loader
            .override_global(names::GUARD_GLANCE, &glance[..], true)
            .override_global(names::GUARD_INTERVAL_NS, &limit.interval_ns, true)
            .override_global(names::GUARD_TOLERANCE_NS, &limit.tolerance_ns, true)
            .map_max_entries(names::GUARD_COUNTS, counts::rows()?)
            .map_max_entries(names::GUARD_OVERLAY, networks.max(1))
            .map_max_entries(names::GUARD_SOURCES, room)
            .override_global(names::GUARD_ROOM, &room, true)
            .override_global(names::GUARD_SEED, &seed, true)
            .map_max_entries(names::GUARD_FLOWS, room)
            .map_max_entries(names::GUARD_ATTEMPTS, room);
        if let Some(pins) = pins {
            counts::check(pins)?;
            loader.map_pin_path(names::GUARD_COUNTS, pins.guard_counts());
            for (name, path, shape) in [
                (names::GUARD_SOURCES, pins.guard_sources(), SOURCES_SHAPE),
                (names::GUARD_FLOWS, pins.guard_flows(), FLOWS_SHAPE),
                (names::GUARD_ATTEMPTS, pins.guard_attempts(), ATTEMPTS_SHAPE),
            ] {
                // Of another size it is begun anew: an empty table refuses nobody.
                if path.exists() && shape.require(name, &path)?.max_entries() != room {
                    pins.remove_file(&path)?;
                }
                loader.map_pin_path(name, path);
            }
        }
        let ebpf = loader.load(OBJECT).map_err(|error| DatapathError::Load(Box::new(error)))?;
        let version = pins.map_or(ABI_VERSION, Pins::version);
        let mut loaded = Self { ebpf };
        let map = loaded.ebpf.map_mut(names::GUARD_OVERLAY);
        overlay::fill(map.ok_or(DatapathError::Lacks(names::GUARD_OVERLAY))?, &settings.overlay)?;
        Mapped::new(names::GUARD, loaded.array(names::GUARD)?, 1)?
            .fill(&[settings.identity(version)]);
        loaded.program()?.load().map_err(DatapathError::program(GUARD_PROGRAM, "load"))?;
        Ok(loaded)
    }

    /// Its program.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn program(&mut self) -> Result<&mut Xdp, DatapathError> {
        let program = self.ebpf.program_mut(GUARD_PROGRAM);
        program
            .ok_or(DatapathError::Lacks(GUARD_PROGRAM))?
            .try_into()
            .map_err(DatapathError::program(GUARD_PROGRAM, "find"))
    }

    /// Runs it on a frame `repeat` times, as `BPF_PROG_TEST_RUN` does: the last verdict, an
    /// `XDP_*` of include/uapi/linux/bpf.h, and the average time of a run.
    ///
    /// # Errors
    /// The kernel refuses the frame, which must have 14 bytes at least.
    pub fn run(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, Duration), DatapathError> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let run = self.program()?.test_run(options);
        let run = run.map_err(DatapathError::program(GUARD_PROGRAM, "run"))?;
        Ok((run.return_value, run.duration))
    }

    /// What its own runs counted, loaded without pins.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counts(&self) -> Result<GuardCounts, DatapathError> {
        counts::of(self.array(names::GUARD_COUNTS)?)
    }

    fn array(&self, name: &'static str) -> Result<&MapData, DatapathError> {
        match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            Some(_) | None => Err(DatapathError::Lacks(name)),
        }
    }
}
