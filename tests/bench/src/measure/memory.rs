//! Time to compile and load a policy, and its memory.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd as _, AsRawFd as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::maps::MapInfo;
use relay::datapath::{Direction, Loaded};
use relay_tests::memory;

use super::fleet::{Fleet, compiled};

/// The cost of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// From the configuration to the tables.
    pub compile: Duration,
    /// From the tables to programs and maps in the kernel.
    pub load: Duration,
    /// The kernel's memory for its maps, bytes.
    pub map_bytes: u64,
    /// Peak memory of this process after the first generation.
    pub peak_rss_bytes: u64,
}

/// Compiles and loads a policy `times` times. Times are minima; memory is that of the first time, so
/// this should be the first work of the process.
pub fn measure(fleet: Fleet, times: u32) -> Result<Cost> {
    let relay = fleet.relay(true);
    let mut cost =
        Cost { compile: Duration::MAX, load: Duration::MAX, map_bytes: 0, peak_rss_bytes: 0 };
    for turn in 0..times.max(1) {
        let started = Instant::now();
        let (compiled, slots) = compiled(&relay)?;
        cost.compile = cost.compile.min(started.elapsed());
        let started = Instant::now();
        let mut loaded = Loaded::load(&compiled, 1, None, slots)?;
        cost.load = cost.load.min(started.elapsed());
        if turn == 0 {
            cost.map_bytes = held_bytes(&mut loaded)?;
            cost.peak_rss_bytes = peak_rss_bytes()?;
        }
        drop(loaded);
    }
    Ok(cost)
}

/// Kernel memory of the maps of both programs in bytes, as `bpftool map` shows it.
pub fn held_bytes(loaded: &mut Loaded) -> Result<u64> {
    let mut ids = BTreeSet::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        ids.extend(loaded.program(direction)?.info()?.map_ids()?.context("no ids of maps")?);
    }
    ids.into_iter().map(map_bytes).sum()
}

fn map_bytes(id: u32) -> Result<u64> {
    let map = MapInfo::from_id(id)?.fd()?;
    let path = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
    memory::field(&path, "memlock")
}

fn peak_rss_bytes() -> Result<u64> {
    Ok(memory::field("/proc/self/status", "VmHWM")? * 1024)
}

/// Resident memory of this process now, bytes.
pub(super) fn rss_bytes() -> Result<u64> {
    Ok(memory::field("/proc/self/status", "VmRSS")? * 1024)
}
