//! What an attached program holds: the policy it carries out, and the maps it counts in.

use aya::{
    maps::{MapData, MapInfo},
    programs::ProgramInfo,
};
use relay_common::{Generation, names};

use super::{DatapathError, counters, mapped::Mapped};

/// The maps of a program by which it is known. Of a program that is not relay's there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The policy, where it is of this version.
    pub generation: Option<Generation>,
    /// Where it counts.
    pub counting: Option<Counting>,
}

/// The kernel's ids of a pair of maps of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counting {
    /// Of traffic.
    pub counters: u32,
    /// Of refused packets.
    pub refused: u32,
}

impl Held {
    /// Looks at the maps of a program. Where one of another version counts is of no use if that is
    /// laid out in another way.
    ///
    /// # Errors
    /// The kernel does not show them.
    pub(super) fn by(
        name: &'static str,
        program: &ProgramInfo,
        version: u32,
    ) -> Result<Self, DatapathError> {
        let mut generation = None;
        let mut traffic = None;
        let mut refused = None;
        let ids = program.map_ids().map_err(DatapathError::program(name, "inspect"))?;
        for id in ids.unwrap_or_default() {
            let info =
                MapInfo::from_id(id).map_err(DatapathError::map("of a program", "inspect"))?;
            match info.name_as_str() {
                Some(names::GENERATION) => generation = read(&info)?,
                Some(names::COUNTERS) => traffic = Some(info),
                Some(names::REFUSED) => refused = Some(info),
                Some(_) | None => {}
            }
        }
        Ok(Self {
            generation: generation.filter(|found| found.abi_version == version),
            counting: traffic
                .zip(refused)
                .filter(|(traffic, refused)| counters::are_laid_out_so(traffic, refused))
                .map(|(traffic, refused)| Counting {
                    counters: traffic.id(),
                    refused: refused.id(),
                }),
        })
    }
}

fn read(info: &MapInfo) -> Result<Option<Generation>, DatapathError> {
    const WORDS: usize = size_of::<Generation>() / size_of::<u64>();
    if info.value_size() as usize != size_of::<Generation>() {
        return Ok(None);
    }
    let failed = DatapathError::map(names::GENERATION, "read");
    let map = MapData::from_id(info.id()).map_err(failed)?;
    let mapped = Mapped::<u64>::new(names::GENERATION, &map, WORDS)?;
    let words: [u64; WORDS] = std::array::from_fn(|word| mapped.get(word).unwrap_or(0));
    Ok(Some(bytemuck::cast(words)))
}
