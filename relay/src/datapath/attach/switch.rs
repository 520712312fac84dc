//! Switches the hooks to a generation, and detaches stale programs.

use std::{fs, io, os::fd::AsFd as _, path::PathBuf};

use aya::programs::{
    Link as _, LinkOrder, ProgramError, SchedClassifier,
    links::{FdLink, PinnedLink},
    loaded_programs,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
};

use super::{
    super::{DatapathError, generation::Loaded, pinned::Pins, tcx},
    hook::{HANDLE, Hook, Mode, PRIORITY, Place, StaleProgram},
};
use crate::model::Direction;

/// Switches both hooks to a generation, each atomically if a program of ours is attached.
pub(in super::super) fn switch(
    pins: &Pins,
    interface: &str,
    loaded: &mut Loaded,
    hooks: &[Hook; 2],
) -> Result<(), DatapathError> {
    for hook in hooks {
        let direction = hook.direction;
        if let Some(program) = &hook.occupied {
            return Err(DatapathError::Occupied {
                interface: interface.to_owned(),
                direction: direction.label(),
                program: program.clone(),
            });
        }
        let seat =
            Seat { interface, direction, program: direction.program(), link: pins.link(direction) };
        seat.switch(hook.mode, loaded.program(direction)?)?;
    }
    Ok(())
}

/// Where a program of ours is attached, first of all.
pub(in super::super) struct Seat<'a> {
    pub(in super::super) interface: &'a str,
    pub(in super::super) direction: Direction,
    /// The program's name.
    pub(in super::super) program: &'static str,
    /// The pin of its link.
    pub(in super::super) link: PathBuf,
}

/// Our attached program.
pub(in super::super) fn program(hook: &Hook) -> Result<Option<SchedClassifier>, DatapathError> {
    let Some(id) = hook.program_id else { return Ok(None) };
    let mut programs = loaded_programs().filter_map(Result::ok);
    let Some(info) = programs.find(|program| program.id() == id) else { return Ok(None) };
    let name = hook.direction.program();
    SchedClassifier::from_program_info(info, name.into())
        .map(Some)
        .map_err(DatapathError::program(name, "open"))
}

/// Detaches a stale program.
pub(in super::super) fn detach_stale(
    interface: &str,
    stale: &StaleProgram,
) -> Result<(), DatapathError> {
    let direction = stale.direction;
    let failed = || DatapathError::program(direction.program(), "detach stale");
    match stale.place {
        Place::Tcx(attachment) => {
            let programs = loaded_programs().filter_map(Result::ok);
            let Some(program) = programs.into_iter().find(|p| p.id() == stale.program_id) else {
                return Ok(());
            };
            let fd = program.fd().map_err(failed())?;
            let detached = tcx::detach(interface, direction, attachment, fd.as_fd());
            detached
                .map_err(DatapathError::hook(direction.program(), "detach a stale program from"))
        }
        Place::Filter { priority, handle } => {
            let attached = SchedClassifierLink::attached(
                interface,
                direction.attach_type(),
                priority,
                TcHandle::from(handle),
                None,
            );
            let attached = attached.map_err(|error| failed()(TcError::IoError(error).into()))?;
            attached.detach().map_err(failed())
        }
    }
}

impl Seat<'_> {
    /// Attaches a program, or switches from the one that is attached in this mode, atomically.
    pub(in super::super) fn switch(
        &self,
        mode: Option<Mode>,
        program: &mut SchedClassifier,
    ) -> Result<(), DatapathError> {
        match mode {
            Some(Mode::Tcx) => self.update_link(program),
            Some(Mode::Netlink) => self.attach_filter(program, false),
            None => self.attach(program),
        }
    }

    fn attach(&self, program: &mut SchedClassifier) -> Result<(), DatapathError> {
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        match program.attach_with_options(self.interface, self.direction.attach_type(), options) {
            Ok(id) => {
                let failed = || DatapathError::program(self.program, "attach");
                let link = program.take_link(id).map_err(failed())?;
                self.pin(link)
            }
            // Kernels before 6.6 do not know the attach type. Only an attempt shows it, since
            // distributions backport.
            Err(error) if has_no_tcx(&error) => {
                match tc::qdisc_add_clsact(self.interface) {
                    Ok(()) => {}
                    Err(error) if is_already_there(&error) => {}
                    Err(error) => {
                        let failed = DatapathError::program(self.program, "add clsact for");
                        return Err(failed(error.into()));
                    }
                }
                self.attach_filter(program, true)
            }
            Err(error) => Err(DatapathError::program(self.program, "attach")(error)),
        }
    }

    fn pin(&self, link: SchedClassifierLink) -> Result<(), DatapathError> {
        let path = &self.link;
        let link: FdLink = link.try_into().map_err(DatapathError::link(path, "take"))?;
        if path.exists() {
            // The link's interface is gone.
            fs::remove_file(path).map_err(|source| DatapathError::Pin {
                path: path.clone(),
                action: "remove orphaned link",
                source,
            })?;
        }
        let failed =
            |source| DatapathError::Pinning { path: path.clone(), source: Box::new(source) };
        link.pin(path).map(drop).map_err(failed)
    }

    fn update_link(&self, program: &mut SchedClassifier) -> Result<(), DatapathError> {
        let failed = |action| DatapathError::link(&self.link, action);
        let pinned = PinnedLink::from_pin(&self.link).map_err(failed("open"))?;
        let link = SchedClassifierLink::try_from(FdLink::from(pinned)).map_err(failed("open"))?;
        let updated = program.attach_to_link(link);
        updated.map(drop).map_err(DatapathError::program(self.program, "switch to"))
    }

    /// Adds our filter, or replaces the program of the existing one.
    fn attach_filter(
        &self,
        program: &mut SchedClassifier,
        create: bool,
    ) -> Result<(), DatapathError> {
        let failed = |action| DatapathError::program(self.program, action);
        let attach_type = self.direction.attach_type();
        let id = if create {
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
            let options = TcAttachOptions::Netlink(options);
            program.attach_with_options(self.interface, attach_type, options)
        } else {
            let attached =
                SchedClassifierLink::attached(self.interface, attach_type, PRIORITY, HANDLE, None);
            let attached =
                attached.map_err(|error| failed("find")(TcError::IoError(error).into()))?;
            program.attach_to_link(attached)
        };
        let id = id.map_err(failed("attach"))?;
        // Dropping the link would remove the filter.
        std::mem::forget(program.take_link(id).map_err(failed("keep"))?);
        Ok(())
    }
}

fn has_no_tcx(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    error.io_error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
}

fn is_already_there(error: &TcError) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        {
            return true;
        }
        source = error.source();
    }
    matches!(error, TcError::AlreadyAttached)
}
