//! Where the programs run: TCX links, pinned, or on kernels before 6.6 filters of the clsact
//! qdisc.

use aya::programs::{
    LinkOrder, ProgramInfo, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
};
use relay_common::names::{EGRESS_PROGRAM, INGRESS_PROGRAM};

use super::{DatapathError, Loaded, Pins};

/// How programs are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `bpf_link` on the TCX hook (kernel 6.6).
    Tcx,
    /// Filter of a clsact qdisc.
    Netlink,
}

/// Which way packets go, seen from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From peers.
    Ingress,
    /// To peers.
    Egress,
}

/// A BPF filter on a clsact qdisc, as netlink lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classifier {
    /// Its side of the qdisc.
    pub direction: Direction,
    /// Its priority; lower runs first.
    pub priority: u16,
    /// Its handle.
    pub handle: u32,
    /// Its program.
    pub program_id: u32,
}

/// What is attached.
pub(super) struct Attached {
    pub mode: Option<Mode>,
    pub programs: Option<[ProgramInfo; 2]>,
    pub foreign: Vec<String>,
}

/// Priority and handle of our filters: the first of all.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 1);

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Ingress => INGRESS_PROGRAM,
            Self::Egress => EGRESS_PROGRAM,
        }
    }

    const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}

/// Finds our programs on the interface. A link that is pinned but no longer on it, because the
/// interface was deleted and made again, does not count.
pub(super) fn observe(
    pins: &Pins,
    interface: &str,
    classifiers: &[Classifier],
) -> Result<Attached, DatapathError> {
    let mut ours = Vec::new();
    let mut foreign = Vec::new();
    let mut mode = None;
    for direction in Direction::BOTH {
        let failed = |action| DatapathError::program(direction.program(), action);
        let running = SchedClassifier::query_tcx(interface, direction.attach_type());
        // No such interface, or no TCX in this kernel: then there is nothing to find.
        let running = running.map(|(_, programs)| programs).unwrap_or_default();
        let linked = pinned_program(pins, direction)?;
        let at = running.iter().position(|program| Some(program.id()) == linked);
        let name = |program: &ProgramInfo| {
            let name = program.name_as_str().unwrap_or("?");
            format!("{} {name} (id {})", direction.label(), program.id())
        };
        foreign.extend(running.iter().take(at.unwrap_or(0)).map(name));
        if let Some(program) = at.and_then(|at| running.into_iter().nth(at)) {
            mode = Some(Mode::Tcx);
            ours.push(program);
            continue;
        }
        let filters = || classifiers.iter().filter(|filter| filter.direction == direction);
        let found = filters().find(|f| f.priority == PRIORITY && f.handle == u32::from(HANDLE));
        if let Some(filter) = found {
            let program = aya::programs::loaded_programs()
                .filter_map(Result::ok)
                .find(|program| program.id() == filter.program_id);
            match program {
                Some(program) if is_ours(&program, direction) => {
                    mode = Some(Mode::Netlink);
                    ours.push(program);
                }
                Some(program) => foreign.push(name(&program)),
                None => return Err(failed("inspect")(TcError::InvalidLinkOperation.into())),
            }
        }
    }
    match <[ProgramInfo; 2]>::try_from(ours) {
        Ok(programs) => Ok(Attached { mode, programs: Some(programs), foreign }),
        Err(_missing) => Ok(Attached { mode: None, programs: None, foreign }),
    }
}

/// Points both hooks at a generation: in one step each where they are attached already.
pub(super) fn switch(
    pins: &Pins,
    interface: &str,
    loaded: &mut Loaded,
    mode: Option<Mode>,
) -> Result<(), DatapathError> {
    for direction in Direction::BOTH {
        let program = loaded.program(direction)?;
        match mode {
            Some(Mode::Tcx) => update_link(pins, direction, program)?,
            Some(Mode::Netlink) => {
                attach_filter(interface, direction, program, false)?;
            }
            None => attach(pins, interface, direction, program)?,
        }
    }
    Ok(())
}

fn attach(
    pins: &Pins,
    interface: &str,
    direction: Direction,
    program: &mut SchedClassifier,
) -> Result<(), DatapathError> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    match program.attach_with_options(interface, direction.attach_type(), options) {
        Ok(id) => {
            let failed = || DatapathError::program(direction.program(), "attach");
            let link = program.take_link(id).map_err(failed())?;
            pin(pins, direction, link)
        }
        // Kernels before 6.6 do not know the attach type: the link cannot be made, and the clsact
        // qdisc serves. The probe is the attempt itself, since distributions backport.
        Err(refused) if has_no_tcx(&refused) => {
            match tc::qdisc_add_clsact(interface) {
                Ok(()) => {}
                Err(error) if is_already_there(&error) => {}
                Err(error) => {
                    let failed = DatapathError::program(direction.program(), "add clsact for");
                    return Err(failed(error.into()));
                }
            }
            attach_filter(interface, direction, program, true)
        }
        Err(error) => Err(DatapathError::program(direction.program(), "attach")(error)),
    }
}

fn pin(pins: &Pins, direction: Direction, link: SchedClassifierLink) -> Result<(), DatapathError> {
    let path = pins.link(direction);
    let failed = |action| {
        let path = path.clone();
        move |source| DatapathError::Link { path, action, source: Box::new(source) }
    };
    let link: FdLink = link.try_into().map_err(failed("take"))?;
    if path.exists() {
        // A defunct link of an interface that is gone.
        std::fs::remove_file(&path).map_err(|source| DatapathError::Pin {
            path: path.clone(),
            action: "remove defunct link",
            source,
        })?;
    }
    let pinned = link.pin(&path);
    pinned.map_err(|source| DatapathError::Pinning { path, source: Box::new(source) })?;
    Ok(())
}

fn update_link(
    pins: &Pins,
    direction: Direction,
    program: &mut SchedClassifier,
) -> Result<(), DatapathError> {
    let path = pins.link(direction);
    let failed = |action| {
        let path = path.clone();
        move |source| DatapathError::Link { path, action, source: Box::new(source) }
    };
    let pinned = PinnedLink::from_pin(&path).map_err(failed("open"))?;
    let link = SchedClassifierLink::try_from(FdLink::from(pinned)).map_err(failed("open"))?;
    let updated = program.attach_to_link(link);
    updated.map_err(DatapathError::program(direction.program(), "switch to"))?;
    Ok(())
}

/// Adds our filter, or replaces the program of the one that is there.
fn attach_filter(
    interface: &str,
    direction: Direction,
    program: &mut SchedClassifier,
    create: bool,
) -> Result<(), DatapathError> {
    let failed = |action| DatapathError::program(direction.program(), action);
    let id = if create {
        let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
        program.attach_with_options(
            interface,
            direction.attach_type(),
            TcAttachOptions::Netlink(options),
        )
    } else {
        let attached = SchedClassifierLink::attached(
            interface,
            direction.attach_type(),
            PRIORITY,
            HANDLE,
            None,
        );
        let attached = attached.map_err(|error| failed("find")(TcError::IoError(error).into()))?;
        program.attach_to_link(attached)
    };
    let id = id.map_err(failed("attach"))?;
    // Dropped, the link would take the filter away with it.
    std::mem::forget(program.take_link(id).map_err(failed("keep"))?);
    Ok(())
}

fn pinned_program(pins: &Pins, direction: Direction) -> Result<Option<u32>, DatapathError> {
    let path = pins.link(direction);
    if !path.exists() {
        return Ok(None);
    }
    let info = PinnedLink::from_pin(&path).and_then(|link| FdLink::from(link).info());
    info.map(|info| Some(info.program_id())).map_err(|source| DatapathError::Link {
        path,
        action: "open",
        source: Box::new(source),
    })
}

fn is_ours(program: &ProgramInfo, direction: Direction) -> bool {
    // The kernel keeps 15 bytes of a name.
    let name = direction.program();
    program.name_as_str().is_some_and(|found| found == &name[..name.len().min(15)])
}

fn has_no_tcx(error: &aya::programs::ProgramError) -> bool {
    use aya::programs::ProgramError;
    let ProgramError::SyscallError(error) = error else { return false };
    error.io_error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
}

fn is_already_there(error: &TcError) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists)
        {
            return true;
        }
        source = error.source();
    }
    matches!(error, TcError::AlreadyAttached)
}
