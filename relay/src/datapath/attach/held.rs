//! The maps of an attached program: the policy that it enforces, and what it counts in.

use aya::{maps::MapInfo, programs::ProgramInfo};
use relay_common::{Generation, names};

use super::super::{
    DatapathError,
    pinned::{COUNTERS, DROPPED, SPREAD, only},
};

/// What the maps of a program tell about it; nothing of a foreign program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The policy, if its program is of this version.
    pub generation: Option<Generation>,
    /// What it counts in.
    pub counting: Option<Counting>,
}

/// The kernel's ids of the maps that a program counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Counting {
    /// Map of traffic.
    pub counters: u32,
    /// Map of traffic by groups of processors, if it counts there instead.
    pub spread: Option<u32>,
    /// Map of dropped packets.
    pub dropped: u32,
}

impl Held {
    /// Reads the maps of a program. Counters of another version count only if they have this version's
    /// shape.
    ///
    /// # Errors
    /// The maps cannot be inspected.
    pub(super) fn by(
        name: &'static str,
        program: &ProgramInfo,
        version: u32,
    ) -> Result<Self, DatapathError> {
        let mut generation = None;
        let mut traffic = None;
        let mut spread = None;
        let mut dropped = None;
        let ids = program.map_ids().map_err(DatapathError::program(name, "inspect"))?;
        for id in ids.unwrap_or_default() {
            let info =
                MapInfo::from_id(id).map_err(DatapathError::map("of a program", "inspect"))?;
            match info.name_as_str() {
                Some(names::GENERATION) => generation = read(&info)?,
                Some(names::COUNTERS) => traffic = Some(info),
                Some(names::SPREAD) => spread = Some(info),
                Some(names::DROPPED) => dropped = Some(info),
                Some(_) | None => {}
            }
        }
        Ok(Self {
            generation: generation.filter(|found| found.abi_version == version),
            counting: traffic
                .zip(dropped)
                .filter(|(traffic, dropped)| {
                    COUNTERS.is_shape_of(traffic, None)
                        && DROPPED.is_shape_of(dropped, Some(traffic))
                })
                .map(|(traffic, dropped)| Counting {
                    counters: traffic.id(),
                    // Where there is one group, it has a single entry.
                    spread: spread
                        .filter(|spread| {
                            SPREAD.is_shape_of(spread, Some(&traffic))
                                && spread.max_entries() > traffic.max_entries()
                        })
                        .map(|spread| spread.id()),
                    dropped: dropped.id(),
                }),
        })
    }
}

fn read(info: &MapInfo) -> Result<Option<Generation>, DatapathError> {
    if info.value_size() as usize != size_of::<Generation>() {
        return Ok(None);
    }
    only(names::GENERATION, info.id()).map(Some)
}
