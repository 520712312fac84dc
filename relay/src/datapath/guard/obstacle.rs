//! What is where the guard goes and is not the guard: what it is, and how it is taken off.

use std::fmt;

use aya::programs::{ProgramInfo, loaded_programs};

use super::{
    super::{
        DatapathError, Pins,
        hook::place,
        link::{self, Link, LinkKind},
    },
    hook::{XdpProgram, index},
};

/// What is where our guard goes, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl Obstacle {
    /// A program that is not the guard of this relay.
    pub(super) fn program(pins: &Pins, program: &XdpProgram) -> Result<Self, DatapathError> {
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
            None => format!("remove it with `ip link set dev {interface} {} off`", mode.keyword()),
            Some(link) => match pins.guarded_by(&link)? {
                None => detaching(&link),
                Some(relay) => {
                    let found = format!("{found}, the guard of the relay on {relay}");
                    let remedy = "one interface has one guard: leave it to one relay".to_owned();
                    return Ok(Self { found, remedy });
                }
            },
        };
        Ok(Self { found, remedy })
    }

    /// The pinned link to our guard on an interface that is none of this network namespace.
    pub(super) fn link(link: &Link) -> Self {
        let found = format!("the guard's link of that name on {}", place(None, link));
        Self { found, remedy: detaching(link) }
    }

    /// A program that came since the interface was looked at.
    pub(super) fn late(interface: &str) -> Self {
        let remedy = format!("see whose it is with `bpftool net show dev {interface}`");
        Self { found: "another XDP program".to_owned(), remedy }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)
    }
}

/// A link is taken off as a link: `ip link set … xdp off` leaves it there.
fn detaching(link: &Link) -> String {
    format!("remove it with `bpftool link detach id {}`", link.id)
}
