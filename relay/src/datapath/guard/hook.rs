//! Where the guard runs: pinned XDP links, one for each underlay interface.

use std::{fs, io};

use aya::{
    maps::MapInfo,
    programs::{
        ProgramError, Xdp,
        links::{FdLink, PinnedLink},
        loaded_programs,
        xdp::{XdpLink, XdpMode as AyaMode},
    },
};
use relay_common::{
    guard::Identity,
    names::{self, GUARD_PROGRAM},
};

use super::{
    super::{
        DatapathError, Obstacle,
        link::{self, Link},
        pinned::{GUARD_ATTEMPTS, GUARD_COUNTS, GUARD_FLOWS, GUARD_SOURCES, GuardLink, Pins, only},
    },
    obstacle::{self, index},
    settings::GuardSettings,
};
use crate::model::{XdpMode, XdpProgram};

/// An interface, and the state of the guard on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardHook {
    /// Name of the interface.
    pub interface: String,
    /// How our guard is attached; `None` if it is not.
    pub mode: Option<XdpMode>,
    /// Hash of its settings; `None` if it is not attached, or of another version.
    pub settings_hash: Option<[u8; 16]>,
    /// Whether our guard is not attached but its link is pinned: its interface is gone, or another one
    /// has the name.
    pub is_orphaned: bool,
    /// Why our guard cannot be attached.
    pub obstacle: Option<Obstacle>,
    /// Whether the map that our guard counts in is pinned, so that it outlives the guard.
    pub is_counted: bool,
    counts: Option<u32>,
}

/// Where the guard is desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardPlace<'a> {
    /// Name of the interface.
    pub interface: &'a str,
    /// Mode; `None` keeps the mode of a running guard, and otherwise prefers the driver.
    pub mode: Option<XdpMode>,
}

impl GuardHook {
    /// An interface without a guard.
    pub fn absent(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            mode: None,
            settings_hash: None,
            is_orphaned: false,
            obstacle: None,
            is_counted: false,
            counts: None,
        }
    }

    /// Whether a guard with these settings is in force, and its counts are pinned.
    pub fn carries_out(&self, settings: &GuardSettings) -> bool {
        self.is_counted && self.settings_hash == Some(settings.hash())
    }
}

/// Observes interfaces by name, and all others that have a pinned link. A link belongs to the
/// interface that it is on, even if that had another name when the link was created.
pub(super) fn observe(
    pins: &Pins,
    interfaces: &[&str],
    programs: &[XdpProgram],
) -> Result<Vec<GuardHook>, DatapathError> {
    let mut links = Vec::new();
    for link in pins.guard_links()? {
        links.push((seat(&link, programs)?, link));
    }
    let counts = pins.map(&GUARD_COUNTS).id();
    let mut hooks = Vec::new();
    for &interface in interfaces {
        let ours =
            links.iter().position(|(seat, _)| seat.is_some_and(|p| p.interface == interface));
        let left = |(seat, link): &(Option<&XdpProgram>, GuardLink)| {
            seat.is_none() && link.interface == interface
        };
        let found = ours.or_else(|| links.iter().position(left)).map(|at| links.remove(at));
        let program = programs.iter().find(|program| program.interface == interface);
        hooks.push(hook(pins, interface, program, found, counts)?);
    }
    for (seat, link) in links {
        let interface = seat.map_or(link.interface.clone(), |program| program.interface.clone());
        hooks.push(hook(pins, &interface, seat, Some((seat, link)), counts)?);
    }
    Ok(hooks)
}

/// The program of a link, where it runs in this network namespace.
fn seat<'a>(
    link: &GuardLink,
    programs: &'a [XdpProgram],
) -> Result<Option<&'a XdpProgram>, DatapathError> {
    let Some(link) = link.link else { return Ok(None) };
    for program in programs.iter().filter(|program| program.program_id == link.program_id) {
        if link.has_index(index(&program.interface)?) {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

fn hook(
    pins: &Pins,
    interface: &str,
    program: Option<&XdpProgram>,
    found: Option<(Option<&XdpProgram>, GuardLink)>,
    pinned_counts: Option<u32>,
) -> Result<GuardHook, DatapathError> {
    let mut hook = GuardHook::absent(interface);
    if let Some((seat, GuardLink { link, .. })) = found {
        let link = link.filter(Link::is_alive);
        hook.is_orphaned = link.is_none();
        match (seat, link) {
            (Some(seat), _) => {
                hook.mode = Some(seat.mode);
                held(&mut hook, seat.program_id, pins.version())?;
                hook.is_counted = hook.counts.is_some() && hook.counts == pinned_counts;
                return Ok(hook);
            }
            (None, Some(link)) => {
                hook.obstacle = Some(obstacle::of_link(&link));
            }
            (None, None) => {}
        }
    }
    if let Some(program) = program {
        hook.obstacle = Some(obstacle::of_program(pins, program)?);
    }
    Ok(hook)
}

/// Reads the maps of our program. Counts of another version count only if they have this version's
/// shape.
fn held(hook: &mut GuardHook, program_id: u32, version: u32) -> Result<(), DatapathError> {
    let mut programs = loaded_programs().filter_map(Result::ok);
    let Some(program) = programs.find(|info| info.id() == program_id) else { return Ok(()) };
    let ids = program.map_ids().map_err(DatapathError::program(GUARD_PROGRAM, "inspect"))?;
    for id in ids.unwrap_or_default() {
        let info = MapInfo::from_id(id).map_err(DatapathError::map("of a program", "inspect"))?;
        match info.name_as_str() {
            Some(names::GUARD) if info.value_size() as usize == size_of::<Identity>() => {
                let identity: Identity = only(names::GUARD, id)?;
                let is_ours = identity.abi_version == version;
                hook.settings_hash = is_ours.then_some(identity.settings_hash);
            }
            Some(names::GUARD_COUNTS) if GUARD_COUNTS.is_shape_of(&info, None) => {
                hook.counts = Some(id);
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Pins lost counts of attached guards again, so that the next guard counts there.
pub(super) fn keep_counts(pins: &Pins, observed: &[GuardHook]) -> Result<(), DatapathError> {
    let pin = pins.map(&GUARD_COUNTS);
    match observed.iter().find_map(|hook| hook.counts) {
        Some(id) if !pin.exists() => pin.replace(id),
        Some(_) | None => Ok(()),
    }
}

/// Attaches the program, or switches the attached guard to it. If another mode is desired but not
/// available, the guard keeps its mode.
pub(super) fn switch(
    pins: &Pins,
    place: &GuardPlace<'_>,
    found: Option<&GuardHook>,
    program: &mut Xdp,
) -> Result<(), DatapathError> {
    let interface = place.interface;
    if let Some(obstacle) = found.and_then(|hook| hook.obstacle.clone()) {
        return Err(DatapathError::Obstructed { interface: interface.to_owned(), obstacle });
    }
    let now = found.and_then(|hook| hook.mode);
    if now.is_some() && place.mode.is_none_or(|wanted| now == Some(wanted)) {
        return update(pins, interface, program);
    }
    remove(pins, interface)?;
    let pin = |link: FdLink| {
        let path = pins.guard_link(interface);
        let pinned = link.pin(&path).map(drop);
        pinned.map_err(|source| DatapathError::Pinning { path, source: Box::new(source) })
    };
    match (place.mode, now) {
        (Some(mode), now) => match (attach(interface, mode, program), now) {
            (Err(error), Some(now)) => {
                pin(attach(interface, now, program)?)?;
                Err(error)
            }
            (attached, _) => pin(attached?),
        },
        (None, _) => match attach(interface, XdpMode::Driver, program) {
            Err(DatapathError::XdpMode { .. }) => {
                pin(attach(interface, XdpMode::Generic, program)?)
            }
            attached => pin(attached?),
        },
    }
}

fn update(pins: &Pins, interface: &str, program: &mut Xdp) -> Result<(), DatapathError> {
    let Some(GuardLink { path, .. }) = find(pins, interface)? else {
        return Err(DatapathError::NoUnderlay { interface: interface.to_owned() });
    };
    let failed = |action| DatapathError::link(&path, action);
    let pinned = PinnedLink::from_pin(&path).map_err(failed("open"))?;
    let link = XdpLink::try_from(FdLink::from(pinned)).map_err(failed("open"))?;
    let updated = program.attach_to_link(link);
    updated.map_err(DatapathError::program(GUARD_PROGRAM, "switch to"))?;
    let named = pins.guard_link(interface);
    if path != named && !named.exists() {
        let failed = |source| DatapathError::Pin { path: path.clone(), action: "rename", source };
        fs::rename(&path, &named).map_err(failed)?;
    }
    Ok(())
}

fn attach(interface: &str, mode: XdpMode, program: &mut Xdp) -> Result<FdLink, DatapathError> {
    let failed = |action| DatapathError::program(GUARD_PROGRAM, action);
    let interface = interface.to_owned();
    match program.attach(&interface, of_aya(mode)) {
        Ok(id) => {
            let link = program.take_link(id).map_err(failed("attach"))?;
            FdLink::try_from(link).map_err(DatapathError::link(interface.as_ref(), "take"))
        }
        Err(ProgramError::UnknownInterface { .. }) => Err(DatapathError::NoUnderlay { interface }),
        // It was attached since the host was inspected.
        Err(error) if is_taken(&error) => {
            let obstacle = obstacle::unknown(&interface);
            Err(DatapathError::Obstructed { interface, obstacle })
        }
        Err(error) => {
            Err(DatapathError::XdpMode { interface, mode: mode.label(), source: Box::new(error) })
        }
    }
}

/// Detaches the guard from an interface, and with the last one removes its tables. Whether there was
/// a guard.
pub(super) fn take_off(pins: &Pins, interface: &str) -> Result<bool, DatapathError> {
    let was_there = remove(pins, interface)?;
    if pins.guard_links()?.is_empty() {
        for map in [&GUARD_SOURCES, &GUARD_FLOWS, &GUARD_ATTEMPTS] {
            pins.map(map).remove()?;
        }
    }
    Ok(was_there)
}

/// Detaches the guard from all interfaces.
pub(super) fn take_off_all(pins: &Pins) -> Result<(), DatapathError> {
    pins.guard_links()?.iter().try_for_each(|link| detach(pins, link))
}

fn remove(pins: &Pins, interface: &str) -> Result<bool, DatapathError> {
    let found = find(pins, interface)?;
    found.iter().try_for_each(|link| detach(pins, link))?;
    Ok(found.is_some())
}

/// Detaches a link before its pin is removed: without the pin alone, the kernel would detach it later.
fn detach(pins: &Pins, GuardLink { path, link, .. }: &GuardLink) -> Result<(), DatapathError> {
    if let Some(link) = link {
        let detached = link::detach(link.id);
        detached.map_err(DatapathError::hook(GUARD_PROGRAM, "detach from"))?;
    }
    pins.remove_file(path)
}

/// The link on an interface, or else the one that was created for one of that name.
fn find(pins: &Pins, interface: &str) -> Result<Option<GuardLink>, DatapathError> {
    let index = index(interface)?;
    let mut links = pins.guard_links()?;
    let is_on_it = |link: &GuardLink| link.link.is_some_and(|link| link.has_index(index));
    let at = links.iter().position(is_on_it);
    let at = at.or_else(|| links.iter().position(|link| link.interface == interface));
    Ok(at.map(|at| links.swap_remove(at)))
}

/// Whether a foreign program is attached, by a link or in another mode (dev_xdp_attach(),
/// net/core/dev.c, 6.12).
fn is_taken(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    matches!(error.io_error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists)
}

const fn of_aya(mode: XdpMode) -> AyaMode {
    match mode {
        XdpMode::Driver => AyaMode::Driver,
        XdpMode::Generic => AyaMode::Skb,
        XdpMode::Hardware => AyaMode::Hardware,
    }
}
