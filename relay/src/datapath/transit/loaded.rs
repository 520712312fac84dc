use aya::{Ebpf, EbpfLoader, maps::Map, programs::SchedClassifier};
use relay_common::names::{self, TRANSIT_PROGRAM};

use super::{
    super::{
        DatapathError, load,
        pinned::{Mapped, Pins, abi_version},
        test_run::{Packet, Run, run},
    },
    settings::{OBJECT, TransitSettings},
};

/// A `relay_transit` that is in the kernel, not yet attached.
#[derive(Debug)]
pub struct LoadedTransit {
    ebpf: Ebpf,
}

impl LoadedTransit {
    /// Loads the program, as one of the version that these pins are of.
    ///
    /// # Errors
    /// The kernel does not load the map or the program.
    pub fn load(settings: &TransitSettings, pins: Option<&Pins>) -> Result<Self, DatapathError> {
        let transit_high = settings.transit_high();
        let mut loader = EbpfLoader::new();
        loader
            .override_global(names::OWN_INTERFACE, &settings.own_interface, true)
            .override_global(names::TRANSIT_HIGH, &transit_high, true);
        let ebpf = loader.load(OBJECT).map_err(|error| DatapathError::Load(Box::new(error)))?;
        let mut loaded = Self { ebpf };
        let version = pins.map_or_else(abi_version, Pins::version);
        let Some(Map::Array(map)) = loaded.ebpf.map(names::TRANSIT) else {
            return Err(DatapathError::Lacks(names::TRANSIT));
        };
        Mapped::new(names::TRANSIT, map, 1)?.fill(&[settings.identity(version)]);
        let program = loaded.program()?;
        load::load(TRANSIT_PROGRAM, || program.load())?;
        Ok(loaded)
    }

    /// The program.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn program(&mut self) -> Result<&mut SchedClassifier, DatapathError> {
        let program = self.ebpf.program_mut(TRANSIT_PROGRAM);
        program
            .ok_or(DatapathError::Lacks(TRANSIT_PROGRAM))?
            .try_into()
            .map_err(DatapathError::program(TRANSIT_PROGRAM, "find"))
    }

    /// Runs the program on a packet by `BPF_PROG_TEST_RUN`; nothing is sent.
    ///
    /// # Errors
    /// The kernel does not take the packet, which must have at least
    /// [`SHORTEST_PROBE`](super::super::SHORTEST_PROBE) bytes.
    pub fn run(&mut self, packet: &Packet<'_>) -> Result<Run, DatapathError> {
        run(self.program()?, TRANSIT_PROGRAM, packet)
    }
}
