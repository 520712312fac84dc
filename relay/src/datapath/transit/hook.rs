//! Where the transit program runs: a pinned TCX link for each transit interface, or before kernel 6.6
//! a filter of its clsact qdisc.

use aya::{
    maps::MapInfo,
    programs::{ProgramInfo, loaded_programs},
};
use relay_common::{
    mesh::Identity,
    names::{self, TRANSIT_PROGRAM},
};

use super::{
    super::{
        Datapath, DatapathError,
        attach::{HANDLE, Mode, PRIORITY, Seat},
        link::{self, LinkKind},
        pinned::{Pins, only},
        tcx,
    },
    loaded::LoadedTransit,
    settings::TransitSettings,
};
use crate::model::{Classifier, Direction};

/// The transit program on one interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransitHook {
    /// How it is attached; `None` if it is not.
    pub mode: Option<Mode>,
    /// Hash of its settings; `None` if it is not attached, or of another version.
    pub settings_hash: Option<[u8; 16]>,
}

impl Datapath {
    /// The program on a transit interface. `classifiers` are the filters on its clsact qdisc, for
    /// kernels without TCX.
    ///
    /// # Errors
    /// The pin of its link, or the program, cannot be read.
    pub fn transit(
        &self,
        interface: &str,
        classifiers: &[Classifier],
    ) -> Result<TransitHook, DatapathError> {
        let Some((mode, program_id)) = attached(&self.pins, interface, classifiers)? else {
            return Ok(TransitHook::default());
        };
        let mut programs = loaded_programs().filter_map(Result::ok);
        let identity = match programs.find(|program| program.id() == program_id) {
            Some(program) => identity(&program)?,
            None => None,
        };
        let identity = identity.filter(|found| found.abi_version == self.pins.version());
        Ok(TransitHook { mode: Some(mode), settings_hash: identity.map(|it| it.settings_hash) })
    }

    /// Attaches the transit program to an interface, given with what is observed there.
    ///
    /// # Errors
    /// The program is not loaded or not attached.
    pub fn attach_transit(
        &self,
        settings: &TransitSettings,
        interface: &str,
        hook: TransitHook,
    ) -> Result<(), DatapathError> {
        self.pins.make()?;
        let mut loaded = LoadedTransit::load(settings, Some(&self.pins))?;
        let seat = Seat {
            interface,
            direction: Direction::Ingress,
            program: TRANSIT_PROGRAM,
            link: self.pins.transit_link(interface),
        };
        seat.switch(hook.mode, loaded.program()?)
    }

    /// Removes the pin of the link on a transit interface that is gone.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget_transit(&self, interface: &str) -> Result<(), DatapathError> {
        let path = self.pins.transit_link(interface);
        if path.exists() { self.pins.remove_file(&path) } else { Ok(()) }
    }
}

/// How our program is attached, and the kernel's id of it.
fn attached(
    pins: &Pins,
    interface: &str,
    classifiers: &[Classifier],
) -> Result<Option<(Mode, u32)>, DatapathError> {
    let path = pins.transit_link(interface);
    let failed = |source| DatapathError::Pin { path: path.clone(), action: "open", source };
    let link = link::pinned(&path).map_err(failed)?.filter(|link| link.kind == LinkKind::Tcx);
    let failed = || DatapathError::hook(TRANSIT_PROGRAM, "query");
    if let Some(link) = link
        && link.has_index(tcx::index(interface).map_err(failed())?)
    {
        return Ok(Some((Mode::Tcx, link.program_id)));
    }
    let ours = classifiers.iter().find(|filter| {
        filter.direction == Direction::Ingress
            && filter.priority == PRIORITY
            && filter.handle == u32::from(HANDLE)
    });
    Ok(ours.map(|filter| (Mode::Netlink, filter.program_id)))
}

/// What a program was loaded for; `None` for another program.
fn identity(program: &ProgramInfo) -> Result<Option<Identity>, DatapathError> {
    let ids = program.map_ids().map_err(DatapathError::program(TRANSIT_PROGRAM, "inspect"))?;
    for id in ids.unwrap_or_default() {
        let info = MapInfo::from_id(id).map_err(DatapathError::map("of a program", "inspect"))?;
        if info.name_as_str() == Some(names::TRANSIT)
            && info.value_size() as usize == size_of::<Identity>()
        {
            return only(names::TRANSIT, id).map(Some);
        }
    }
    Ok(None)
}
