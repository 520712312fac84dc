//! Where the guard runs: XDP links, one for each underlay interface, pinned.

use std::{fs, io};

use aya::{
    maps::{MapData, MapInfo},
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
        DatapathError, Pins,
        link::{self, Link},
        mapped::Mapped,
        pins::GuardLink,
        tcx,
    },
    GuardSettings, counts,
    obstacle::Obstacle,
};

/// Where on a packet's way an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before there is a socket buffer.
    Driver,
    /// In the stack, for drivers without.
    Generic,
    /// In the device. Never ours.
    Hardware,
}

/// An XDP program on an interface, as netlink lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdpProgram {
    /// The interface.
    pub interface: String,
    /// How it is attached.
    pub mode: XdpMode,
    /// The kernel's id of the program.
    pub program_id: u32,
}

/// An interface, and what there is of the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardHook {
    /// Its name.
    pub interface: String,
    /// How our guard is attached; `None` when it is not.
    pub mode: Option<XdpMode>,
    /// What it carries out; `None` when it is not attached, or of another version.
    pub settings_hash: Option<[u8; 16]>,
    /// Our guard is not attached, but a link to it is pinned: the interface it was attached to is
    /// gone, or another has its name.
    pub is_orphaned: bool,
    /// Why ours cannot be put there.
    pub obstacle: Option<Obstacle>,
    /// Whether what our guard counts in is pinned, so that it outlives the guard.
    pub is_counted: bool,
    counts: Option<u32>,
}

/// Where the guard is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardPlace<'a> {
    /// The interface.
    pub interface: &'a str,
    /// How; `None` leaves it where it runs, and is otherwise the driver's if it has one.
    pub mode: Option<XdpMode>,
}

impl XdpMode {
    /// Its word in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
            Self::Hardware => "hardware",
        }
    }

    /// Its word in `ip link set dev … off`.
    pub(super) const fn keyword(self) -> &'static str {
        match self {
            Self::Driver => "xdpdrv",
            Self::Generic => "xdpgeneric",
            Self::Hardware => "xdpoffload",
        }
    }

    const fn of_aya(self) -> AyaMode {
        match self {
            Self::Driver => AyaMode::Driver,
            Self::Generic => AyaMode::Skb,
            Self::Hardware => AyaMode::Hardware,
        }
    }
}

impl GuardHook {
    /// An interface without anything of the guard.
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

    /// Whether a guard with these settings is in force there, and its counts are kept.
    pub fn carries_out(&self, settings: &GuardSettings) -> bool {
        self.is_counted && self.settings_hash == Some(settings.hash())
    }
}

/// Looks at interfaces by name, and at all others that a link is pinned for. A link is known by the
/// interface it is on, whatever that was called when it was made.
pub(super) fn observe(
    pins: &Pins,
    interfaces: &[&str],
    programs: &[XdpProgram],
) -> Result<Vec<GuardHook>, DatapathError> {
    let mut links = Vec::new();
    for link in pins.guard_links()? {
        links.push((seat(&link, programs)?, link));
    }
    let counts = MapInfo::from_pin(pins.guard_counts()).ok().map(|info| info.id());
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

/// The program of a link where it runs, in this network namespace.
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
                hook.obstacle = Some(Obstacle::link(&link));
            }
            (None, None) => {}
        }
    }
    if let Some(program) = program {
        hook.obstacle = Some(Obstacle::program(pins, program)?);
    }
    Ok(hook)
}

pub(super) fn index(interface: &str) -> Result<Option<u32>, DatapathError> {
    tcx::index(interface).map_err(DatapathError::hook(GUARD_PROGRAM, "look up the interface of"))
}

/// Looks at the maps of our program. Where one of another version counts is of no use if that is
/// laid out in another way.
fn held(hook: &mut GuardHook, program_id: u32, version: u32) -> Result<(), DatapathError> {
    let mut programs = loaded_programs().filter_map(Result::ok);
    let Some(program) = programs.find(|info| info.id() == program_id) else { return Ok(()) };
    let ids = program.map_ids().map_err(DatapathError::program(GUARD_PROGRAM, "inspect"))?;
    for id in ids.unwrap_or_default() {
        let info = MapInfo::from_id(id).map_err(DatapathError::map("of a program", "inspect"))?;
        match info.name_as_str() {
            Some(names::GUARD) if info.value_size() as usize == size_of::<Identity>() => {
                let identity = identity(id)?;
                let is_ours = identity.abi_version == version;
                hook.settings_hash = is_ours.then_some(identity.settings_hash);
            }
            Some(names::GUARD_COUNTS) if counts::shape()?.is_of(&info) => hook.counts = Some(id),
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn identity(id: u32) -> Result<Identity, DatapathError> {
    const WORDS: usize = size_of::<Identity>() / size_of::<u64>();
    let map = MapData::from_id(id).map_err(DatapathError::map(names::GUARD, "read"))?;
    let mapped = Mapped::<u64>::new(names::GUARD, &map, WORDS)?;
    let words: [u64; WORDS] = std::array::from_fn(|word| mapped.get(word).unwrap_or(0));
    Ok(bytemuck::cast(words))
}

/// Pins what attached guards count in again, if that was lost, so that the next goes on there.
pub(super) fn keep_counts(pins: &Pins, observed: &[GuardHook]) -> Result<(), DatapathError> {
    let path = pins.guard_counts();
    let Some(id) = observed.iter().find_map(|hook| hook.counts) else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    let map = MapData::from_id(id).map_err(DatapathError::map(names::GUARD_COUNTS, "open"))?;
    map.pin(&path).map_err(|source| DatapathError::Pinning { path, source: Box::new(source) })
}

/// Puts the program where it is wanted. Where another mode is asked for and not to be had, it stays
/// in the one it had.
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
            (Err(refused), Some(now)) => {
                pin(attach(interface, now, program)?)?;
                Err(refused)
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
    match program.attach(&interface, mode.of_aya()) {
        Ok(id) => {
            let link = program.take_link(id).map_err(failed("attach"))?;
            FdLink::try_from(link).map_err(DatapathError::link(interface.as_ref(), "take"))
        }
        Err(ProgramError::UnknownInterface { .. }) => Err(DatapathError::NoUnderlay { interface }),
        // It came since this host was looked at.
        Err(error) if is_taken(&error) => {
            let obstacle = Obstacle::late(&interface);
            Err(DatapathError::Obstructed { interface, obstacle })
        }
        Err(error) => {
            Err(DatapathError::XdpMode { interface, mode: mode.label(), source: Box::new(error) })
        }
    }
}

/// Takes the guard off an interface, and with the last one its tables; whether there was one.
pub(super) fn take_off(pins: &Pins, interface: &str) -> Result<bool, DatapathError> {
    let was_there = remove(pins, interface)?;
    if pins.guard_links()?.is_empty() {
        for path in [pins.guard_sources(), pins.guard_flows(), pins.guard_attempts()] {
            if path.exists() {
                pins.remove_file(&path)?;
            }
        }
    }
    Ok(was_there)
}

/// Takes the guard off all interfaces.
pub(super) fn take_off_all(pins: &Pins) -> Result<(), DatapathError> {
    pins.guard_links()?.iter().try_for_each(|link| detach(pins, link))
}

fn remove(pins: &Pins, interface: &str) -> Result<bool, DatapathError> {
    let found = find(pins, interface)?;
    found.iter().try_for_each(|link| detach(pins, link))?;
    Ok(found.is_some())
}

/// Detaches the link, at once: with its pin alone it would go when the kernel finds the time.
fn detach(pins: &Pins, GuardLink { path, link, .. }: &GuardLink) -> Result<(), DatapathError> {
    if let Some(link) = link {
        let detached = link::detach(link.id);
        detached.map_err(DatapathError::hook(GUARD_PROGRAM, "detach from"))?;
    }
    pins.remove_file(path)
}

/// The link on an interface, or else the one that was made for one of that name.
fn find(pins: &Pins, interface: &str) -> Result<Option<GuardLink>, DatapathError> {
    let index = index(interface)?;
    let mut links = pins.guard_links()?;
    let is_on_it = |link: &GuardLink| link.link.is_some_and(|link| link.has_index(index));
    let at = links.iter().position(is_on_it);
    let at = at.or_else(|| links.iter().position(|link| link.interface == interface));
    Ok(at.map(|at| links.swap_remove(at)))
}

/// Whether somebody else's program is there, attached by a link or in another mode
/// (dev_xdp_attach(), net/core/dev.c, 6.12).
fn is_taken(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    matches!(error.io_error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists)
}
