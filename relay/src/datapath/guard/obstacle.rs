//! Foreign XDP programs in place of the guard: what they are, and how to remove them.

use aya::programs::{ProgramInfo, loaded_programs};
use relay_common::names::GUARD_PROGRAM;

use super::super::{
    DatapathError, Obstacle,
    attach::place,
    link::{self, Link, LinkKind},
    pinned::Pins,
    tcx,
};
use crate::model::{XdpMode, XdpProgram};

/// Index of an interface, in the network namespace of this thread.
pub(super) fn index(interface: &str) -> Result<Option<u32>, DatapathError> {
    tcx::index(interface).map_err(DatapathError::hook(GUARD_PROGRAM, "look up the interface of"))
}

/// A program that is not the guard of this relay.
pub(super) fn of_program(pins: &Pins, program: &XdpProgram) -> Result<Obstacle, DatapathError> {
    let XdpProgram { interface, mode, program_id } = program;
    let index = index(interface)?;
    let is_it = |link: &Link| {
        link.kind == LinkKind::Xdp && link.program_id == *program_id && link.has_index(index)
    };
    let link = link::all().find(is_it);
    let info = loaded_programs().filter_map(Result::ok).find(|info| info.id() == *program_id);
    let name = info.as_ref().and_then(ProgramInfo::name_as_str).unwrap_or("?");
    let found = format!("XDP program {name} (id {program_id})");
    let remedy = match link {
        None => format!("remove it with `ip link set dev {interface} {} off`", keyword(*mode)),
        Some(link) => match pins.guarded_by(&link)? {
            None => detaching(&link),
            Some(relay) => {
                let found = format!("{found}, the guard of the relay on {relay}");
                let remedy = "one interface has one guard: leave it to one relay".to_owned();
                return Ok(Obstacle { found, remedy });
            }
        },
    };
    Ok(Obstacle { found, remedy })
}

/// The pinned link of our guard, on an interface of another network namespace.
pub(super) fn of_link(link: &Link) -> Obstacle {
    let found = format!("the guard's link of that name on {}", place(None, link));
    Obstacle { found, remedy: detaching(link) }
}

/// A program that was attached since the interface was inspected.
pub(super) fn unknown(interface: &str) -> Obstacle {
    let remedy = format!("see whose it is with `bpftool net show dev {interface}`");
    Obstacle { found: "another XDP program".to_owned(), remedy }
}

/// `ip link set … xdp off` does not detach a link.
fn detaching(link: &Link) -> String {
    format!("remove it with `bpftool link detach id {}`", link.id)
}

/// Keyword of a mode in `ip link set dev … off`.
const fn keyword(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Driver => "xdpdrv",
        XdpMode::Generic => "xdpgeneric",
        XdpMode::Hardware => "xdpoffload",
    }
}
