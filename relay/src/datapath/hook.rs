//! Where the programs run: TCX links, pinned, or on kernels before 6.6 filters of the clsact
//! qdisc.

use std::{collections::BTreeMap, fmt, io, os::fd::AsFd as _, path::Path};

use aya::programs::{
    Link as _, LinkOrder, ProgramError, ProgramInfo, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    loaded_programs,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
};
use relay_common::{
    Generation,
    names::{EGRESS_PROGRAM, INGRESS_PROGRAM},
};

use super::{
    DatapathError, Loaded, Pins,
    held::{Counting, Held},
    link::{self, Link, LinkKind},
    tcx::{self, Attachment, Tcx},
};

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

/// A BPF filter on a clsact qdisc, as netlink lists it: in the order in which filters run.
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

/// One side of the interface, and what is attached there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Which side.
    pub direction: Direction,
    /// How our program is attached; `None` when it is not.
    pub mode: Option<Mode>,
    /// The policy that our program carries out.
    pub generation: Option<Generation>,
    /// Our program is not attached, but a link to it is pinned: the interface it was attached to
    /// is gone, and another has its name.
    pub is_orphaned: bool,
    /// Our program is not attached, and the link that is pinned runs it elsewhere: where.
    pub elsewhere: Option<String>,
    /// Programs of others that run before ours.
    pub foreign: Vec<String>,
    /// Copies of our program that nobody keeps track of.
    pub twins: Vec<Twin>,
    pub(super) counting: Option<Counting>,
    program_id: Option<u32>,
    occupied: Option<String>,
}

/// A program by the name of ours that is attached, but not by the link or filter that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    direction: Direction,
    program_id: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Tcx(Attachment),
    Filter { priority: u16, handle: u32 },
}

/// Priority and handle of our filters: the first of all.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 1);

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// Its word in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The name of our program there.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Ingress => INGRESS_PROGRAM,
            Self::Egress => EGRESS_PROGRAM,
        }
    }

    /// The name of the pin of our link.
    pub(super) const fn link(self) -> &'static str {
        match self {
            Self::Ingress => "ingress_link",
            Self::Egress => "egress_link",
        }
    }

    const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}

impl Mode {
    /// Its word in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Netlink => "netlink",
        }
    }
}

impl fmt::Display for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} (id {})",
            self.direction.label(),
            self.direction.program(),
            self.program_id
        )
    }
}

impl Hook {
    fn new(direction: Direction) -> Self {
        Self {
            direction,
            mode: None,
            generation: None,
            is_orphaned: false,
            elsewhere: None,
            foreign: Vec::new(),
            twins: Vec::new(),
            counting: None,
            program_id: None,
            occupied: None,
        }
    }

    fn is_ours(
        &mut self,
        mode: Mode,
        program: &ProgramInfo,
        version: u32,
    ) -> Result<(), DatapathError> {
        let held = Held::by(self.direction.program(), program, version)?;
        self.mode = Some(mode);
        self.program_id = Some(program.id());
        self.generation = held.generation;
        self.counting = held.counting;
        Ok(())
    }
}

/// Finds our programs on the interface. A link that is pinned but not on it does not count: it is an
/// orphan when the interface is gone that it was on, and otherwise runs elsewhere.
pub(super) fn observe(
    pins: &Pins,
    interface: &str,
    classifiers: &[Classifier],
) -> Result<[Hook; 2], DatapathError> {
    let programs: BTreeMap<u32, ProgramInfo> =
        loaded_programs().filter_map(Result::ok).map(|program| (program.id(), program)).collect();
    let [ingress, egress] = Direction::BOTH.map(|direction| {
        let filters: Vec<_> =
            classifiers.iter().copied().filter(|f| f.direction == direction).collect();
        let host = Host { filters: &filters, programs: &programs, version: pins.version() };
        let link = pinned_link(&pins.link(direction))?;
        let failed = || DatapathError::hook(direction.program(), "query");
        match tcx::query(interface, direction).map_err(failed())? {
            Tcx::Programs(attached) => {
                let mut hook = on_tcx(direction, link, &attached, &host)?;
                if let Some(link) = link.filter(|link| hook.mode.is_none() && link.is_alive()) {
                    let seat = tcx::seat(&link, direction).map_err(failed())?;
                    hook.elsewhere = Some(place(seat, &link));
                }
                Ok(hook)
            }
            Tcx::Unknown => on_clsact(direction, &host),
        }
    });
    Ok([ingress?, egress?])
}

/// What there is beside TCX to tell our programs by.
struct Host<'a> {
    filters: &'a [Classifier],
    programs: &'a BTreeMap<u32, ProgramInfo>,
    version: u32,
}

/// What is attached is loaded, unless it was replaced since that was looked at.
fn loaded(programs: &BTreeMap<u32, ProgramInfo>, id: u32) -> Result<&ProgramInfo, DatapathError> {
    programs.get(&id).ok_or(DatapathError::Replaced { id })
}

/// Where a link runs its program, for people.
pub(super) fn place(seat: Option<String>, link: &Link) -> String {
    match seat {
        Some(interface) => format!("interface {interface}"),
        None => format!("interface {} of another network namespace", link.index()),
    }
}

fn on_tcx(
    direction: Direction,
    link: Option<Link>,
    attached: &[Attachment],
    host: &Host<'_>,
) -> Result<Hook, DatapathError> {
    let Host { filters, programs, version } = *host;
    let mut hook = Hook::new(direction);
    let is_ours = |attachment: &Attachment| link.is_some_and(|l| l.id == attachment.link_id);
    let ours = attached.iter().position(is_ours);
    hook.is_orphaned = link.is_some_and(|link| !link.is_alive());
    for (position, &attachment) in attached.iter().enumerate() {
        let program = loaded(programs, attachment.program_id)?;
        if ours == Some(position) {
            hook.is_ours(Mode::Tcx, program, version)?;
        } else if is_named_ours(program, direction) {
            let place = Place::Tcx(attachment);
            hook.twins.push(Twin { direction, program_id: program.id(), place });
        } else if ours.is_some_and(|ours| position < ours) {
            hook.foreign.push(describe(program, direction));
        }
    }
    // Filters run behind TCX programs.
    hook.twins.extend(filters.iter().filter_map(|filter| twin(filter, programs)));
    Ok(hook)
}

fn on_clsact(direction: Direction, host: &Host<'_>) -> Result<Hook, DatapathError> {
    let Host { filters, programs, version } = *host;
    let mut hook = Hook::new(direction);
    for filter in filters {
        let program = loaded(programs, filter.program_id)?;
        let has_our_place = filter.priority == PRIORITY && filter.handle == u32::from(HANDLE);
        match (is_named_ours(program, direction), has_our_place) {
            (true, true) => hook.is_ours(Mode::Netlink, program, version)?,
            (true, false) => hook.twins.extend(twin(filter, programs)),
            (false, true) => hook.occupied = Some(describe(program, direction)),
            (false, false) if hook.mode.is_none() => {
                hook.foreign.push(describe(program, direction));
            }
            (false, false) => {}
        }
    }
    if hook.mode.is_none() {
        hook.foreign.clear();
    }
    Ok(hook)
}

/// Points both hooks at a generation: in one step each where they are attached already.
pub(super) fn switch(
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
        let program = loaded.program(direction)?;
        match hook.mode {
            Some(Mode::Tcx) => update_link(pins, direction, program)?,
            Some(Mode::Netlink) => attach_filter(interface, direction, program, false)?,
            None => attach(pins, interface, direction, program)?,
        }
    }
    Ok(())
}

/// Our program that is attached there.
pub(super) fn program(hook: &Hook) -> Result<Option<SchedClassifier>, DatapathError> {
    let Some(id) = hook.program_id else { return Ok(None) };
    let mut programs = loaded_programs().filter_map(Result::ok);
    let Some(info) = programs.find(|program| program.id() == id) else { return Ok(None) };
    let name = hook.direction.program();
    SchedClassifier::from_program_info(info, name.into())
        .map(Some)
        .map_err(DatapathError::program(name, "open"))
}

/// Takes a twin off the interface.
pub(super) fn detach(interface: &str, twin: &Twin) -> Result<(), DatapathError> {
    let direction = twin.direction;
    let failed = || DatapathError::program(direction.program(), "detach stale");
    match twin.place {
        Place::Tcx(attachment) => {
            let programs = loaded_programs().filter_map(Result::ok);
            let Some(program) = programs.into_iter().find(|p| p.id() == twin.program_id) else {
                return Ok(());
            };
            let fd = program.fd().map_err(failed())?;
            let detached = tcx::detach(interface, direction, attachment, fd.as_fd());
            detached.map_err(DatapathError::hook(direction.program(), "detach a stale copy from"))
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
    let failed = |action| DatapathError::link(&path, action);
    let link: FdLink = link.try_into().map_err(failed("take"))?;
    if path.exists() {
        // A link of an interface that is gone.
        std::fs::remove_file(&path).map_err(|source| DatapathError::Pin {
            path: path.clone(),
            action: "remove orphaned link",
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
    let failed = |action| DatapathError::link(&path, action);
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

/// The link that is pinned. Whatever else has been put there is replaced when a link is pinned.
fn pinned_link(path: &Path) -> Result<Option<Link>, DatapathError> {
    let failed = |source| DatapathError::Pin { path: path.to_owned(), action: "open", source };
    Ok(link::pinned(path).map_err(failed)?.filter(|link| link.kind == LinkKind::Tcx))
}

fn twin(filter: &Classifier, programs: &BTreeMap<u32, ProgramInfo>) -> Option<Twin> {
    let program = programs.get(&filter.program_id)?;
    is_named_ours(program, filter.direction).then_some(Twin {
        direction: filter.direction,
        program_id: filter.program_id,
        place: Place::Filter { priority: filter.priority, handle: filter.handle },
    })
}

fn describe(program: &ProgramInfo, direction: Direction) -> String {
    let name = program.name_as_str().unwrap_or("?");
    format!("{} {name} (id {})", direction.label(), program.id())
}

fn is_named_ours(program: &ProgramInfo, direction: Direction) -> bool {
    // The kernel keeps 15 bytes of a name.
    let name = direction.program();
    program.name_as_str().is_some_and(|found| found == &name[..name.len().min(15)])
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
