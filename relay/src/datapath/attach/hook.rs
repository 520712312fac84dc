//! What is attached to the two sides of the interface.

use std::{collections::BTreeMap, fmt, path::Path};

use aya::programs::{ProgramInfo, loaded_programs, tc::TcHandle};
use relay_common::{
    Generation,
    names::{COMPARING_PROGRAM, LEARNING_PROGRAM, TRIAL_PROGRAM},
};

use super::{
    super::{
        DatapathError,
        link::{self, Link, LinkKind},
        pinned::Pins,
        tcx::{self, Attachment, Tcx},
    },
    held::{Counting, Held},
};
use crate::model::{Classifier, Direction};

/// How programs are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `bpf_link` on the TCX hook (kernel 6.6).
    Tcx,
    /// Filter of a clsact qdisc.
    Netlink,
}

/// Whether a candidate is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// None is.
    None,
    /// One is.
    Running,
    /// A command that started or stopped one did not finish, or something else has taken part of it
    /// off.
    Broken,
}

/// One side of the interface, and what is attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Side of the interface.
    pub direction: Direction,
    /// How our program is attached; `None` if it is not.
    pub mode: Option<Mode>,
    /// The policy that our program enforces.
    pub generation: Option<Generation>,
    /// Whether our program is not attached but its link is pinned: its interface is gone, and another
    /// one has the name.
    pub is_orphaned: bool,
    /// Where the pinned link runs our program, if that is not on this interface.
    pub elsewhere: Option<String>,
    /// Foreign programs that run before ours.
    pub foreign: Vec<String>,
    /// Stale programs.
    pub stale: Vec<StaleProgram>,
    /// Whether our program compares what it decides with what a candidate would.
    pub compares: bool,
    /// Whether our program counts what peers use of each other.
    pub learns: bool,
    /// Programs of candidates; one while a candidate is tried.
    pub(super) trials: Vec<StaleProgram>,
    /// What our program counts in.
    pub(in super::super) counting: Option<Counting>,
    pub(super) program_id: Option<u32>,
    pub(super) occupied: Option<String>,
}

/// An attached program with the name of ours that no pin or filter of ours keeps track of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleProgram {
    pub(super) direction: Direction,
    pub(super) program_id: u32,
    pub(super) place: Place,
}

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Tcx(Attachment),
    Filter { priority: u16, handle: u32 },
}

/// Priority and handle of our filters, which run before all others.
pub(in super::super) const PRIORITY: u16 = 1;
pub(in super::super) const HANDLE: TcHandle = TcHandle::new(0, 1);
/// Handle of the filter of a candidate.
pub(super) const TRIAL_HANDLE: TcHandle = TcHandle::new(0, 2);

impl Mode {
    /// Spelling in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Netlink => "netlink",
        }
    }
}

impl fmt::Display for StaleProgram {
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
    pub(in super::super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            mode: None,
            generation: None,
            is_orphaned: false,
            elsewhere: None,
            foreign: Vec::new(),
            stale: Vec::new(),
            compares: false,
            learns: false,
            trials: Vec::new(),
            counting: None,
            program_id: None,
            occupied: None,
        }
    }

    /// Whether a candidate is tried.
    pub(in super::super) fn trial(&self) -> Trial {
        match (self.compares, self.trials.len()) {
            (false, 0) => Trial::None,
            (true, 1) => Trial::Running,
            _ => Trial::Broken,
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
        self.compares = has_name(program, COMPARING_PROGRAM);
        self.learns = has_name(program, LEARNING_PROGRAM);
        self.program_id = Some(program.id());
        self.generation = held.generation;
        self.counting = held.counting;
        Ok(())
    }
}

/// Finds our programs on the interface. A pinned link that is not on it is an orphan if its interface
/// is gone; otherwise it runs elsewhere.
pub(in super::super) fn observe(
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
                    let seat = tcx::interface_of(&link, direction).map_err(failed())?;
                    hook.elsewhere = Some(place(seat, &link));
                }
                Ok(hook)
            }
            Tcx::Unknown => on_clsact(direction, &host),
        }
    });
    Ok([ingress?, egress?])
}

/// What identifies our programs, beside TCX.
struct Host<'a> {
    filters: &'a [Classifier],
    programs: &'a BTreeMap<u32, ProgramInfo>,
    version: u32,
}

/// An attached program. It is loaded unless it was replaced since the programs were listed.
fn loaded(programs: &BTreeMap<u32, ProgramInfo>, id: u32) -> Result<&ProgramInfo, DatapathError> {
    programs.get(&id).ok_or(DatapathError::Replaced { id })
}

/// Where a link runs its program, as text.
pub(in super::super) fn place(seat: Option<String>, link: &Link) -> String {
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
        } else if is_trial(program, direction) {
            let place = Place::Tcx(attachment);
            hook.trials.push(StaleProgram { direction, program_id: program.id(), place });
        } else if is_named_ours(program, direction) {
            let place = Place::Tcx(attachment);
            hook.stale.push(StaleProgram { direction, program_id: program.id(), place });
        } else if ours.is_some_and(|ours| position < ours) {
            hook.foreign.push(describe(program, direction));
        }
    }
    // Filters run after TCX programs.
    hook.trials.extend(filters.iter().filter_map(|filter| trial(filter, programs)));
    hook.stale.extend(filters.iter().filter_map(|filter| stale(filter, programs)));
    Ok(hook)
}

fn on_clsact(direction: Direction, host: &Host<'_>) -> Result<Hook, DatapathError> {
    let Host { filters, programs, version } = *host;
    let mut hook = Hook::new(direction);
    for filter in filters {
        let program = loaded(programs, filter.program_id)?;
        if let Some(trial) = trial(filter, programs) {
            hook.trials.push(trial);
            continue;
        }
        let has_our_place = filter.priority == PRIORITY && filter.handle == u32::from(HANDLE);
        match (is_named_ours(program, direction), has_our_place) {
            (true, true) => hook.is_ours(Mode::Netlink, program, version)?,
            (true, false) => hook.stale.extend(stale(filter, programs)),
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

/// The pinned link. Anything else with that path is replaced when a link is pinned.
fn pinned_link(path: &Path) -> Result<Option<Link>, DatapathError> {
    let failed = |source| DatapathError::Pin { path: path.to_owned(), action: "open", source };
    Ok(link::pinned(path).map_err(failed)?.filter(|link| link.kind == LinkKind::Tcx))
}

fn stale(filter: &Classifier, programs: &BTreeMap<u32, ProgramInfo>) -> Option<StaleProgram> {
    filtering(filter, programs, is_named_ours)
}

fn trial(filter: &Classifier, programs: &BTreeMap<u32, ProgramInfo>) -> Option<StaleProgram> {
    filtering(filter, programs, is_trial)
}

/// The program of a filter, if it is one of these.
fn filtering(
    filter: &Classifier,
    programs: &BTreeMap<u32, ProgramInfo>,
    is_it: fn(&ProgramInfo, Direction) -> bool,
) -> Option<StaleProgram> {
    let program = programs.get(&filter.program_id)?;
    is_it(program, filter.direction).then_some(StaleProgram {
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
    let others = [COMPARING_PROGRAM, LEARNING_PROGRAM];
    has_name(program, direction.program())
        || (direction == Direction::Ingress && others.iter().any(|name| has_name(program, name)))
}

fn is_trial(program: &ProgramInfo, direction: Direction) -> bool {
    direction == Direction::Ingress && has_name(program, TRIAL_PROGRAM)
}

fn has_name(program: &ProgramInfo, name: &str) -> bool {
    // The kernel keeps 15 bytes of a name.
    program.name_as_str().is_some_and(|found| found == &name[..name.len().min(15)])
}
