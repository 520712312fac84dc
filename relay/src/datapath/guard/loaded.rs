//! A loaded guard.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use relay_common::{
    bucket::Bucket,
    names::{self, GUARD_PROGRAM},
};

use super::{
    super::{
        DatapathError, load,
        pinned::{
            GUARD_ATTEMPTS, GUARD_COUNTS, GUARD_FLOWS, GUARD_SOURCES, Mapped, Pins, abi_version,
            rows_per_processor,
        },
        test_run::uninterrupted,
    },
    counts::{self, GuardCounts},
    overlay,
    settings::{GuardSettings, OBJECT},
};

/// A guard whose program is in the kernel, not yet attached.
#[derive(Debug)]
pub struct LoadedGuard {
    ebpf: Ebpf,
}

impl LoadedGuard {
    /// Loads a guard. With `pins` it uses the pinned counts, sources and flows, created if absent;
    /// without, maps of its own.
    ///
    /// # Errors
    /// A pinned map has another shape. The kernel does not load a map or the program.
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
            .map_max_entries(names::GUARD_COUNTS, rows_per_processor()?)
            .map_max_entries(names::GUARD_OVERLAY, networks.max(1))
            .map_max_entries(names::GUARD_SOURCES, room)
            .override_global(names::GUARD_ROOM, &room, true)
            .override_global(names::GUARD_SEED, &seed, true)
            .map_max_entries(names::GUARD_FLOWS, room)
            .map_max_entries(names::GUARD_ATTEMPTS, room);
        if let Some(pins) = pins {
            pins.map(&GUARD_COUNTS).bind(&mut loader, rows_per_processor()?)?;
            for map in [&GUARD_SOURCES, &GUARD_FLOWS, &GUARD_ATTEMPTS] {
                pins.map(map).bind(&mut loader, room)?;
            }
        }
        let ebpf = loader.load(OBJECT).map_err(|error| DatapathError::Load(Box::new(error)))?;
        let version = pins.map_or_else(abi_version, Pins::version);
        let mut loaded = Self { ebpf };
        let map = loaded.ebpf.map_mut(names::GUARD_OVERLAY);
        overlay::fill(map.ok_or(DatapathError::Lacks(names::GUARD_OVERLAY))?, &settings.overlay)?;
        Mapped::new(names::GUARD, loaded.array(names::GUARD)?, 1)?
            .fill(&[settings.identity(version)]);
        let program = loaded.program()?;
        load::load(GUARD_PROGRAM, || program.load())?;
        Ok(loaded)
    }

    /// The program.
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

    /// Runs the program on a frame `repeat` times by `BPF_PROG_TEST_RUN`, and returns the last verdict,
    /// an `XDP_*` of include/uapi/linux/bpf.h, and the average time of a run.
    ///
    /// # Errors
    /// The kernel does not take the frame, which must have at least 14 bytes.
    pub fn run(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, Duration), DatapathError> {
        let program = self.program()?;
        let run = uninterrupted(|| {
            let options =
                TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
            program.test_run(options)
        });
        let run = run.map_err(DatapathError::program(GUARD_PROGRAM, "run"))?;
        Ok((run.return_value, run.duration))
    }

    /// Counts of a guard loaded without pins.
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
