//! Where the guard runs: XDP links, one for each underlay interface, pinned.

use std::io;

use aya::{
    maps::{MapData, MapInfo},
    programs::{
        ProgramError, ProgramInfo, Xdp,
        links::{FdLink, LinkInfo, LinkType, PinnedLink},
        loaded_programs,
        xdp::{XdpLink, XdpMode as AyaMode},
    },
};
use relay_common::{
    guard::Identity,
    names::{self, ABI_VERSION, GUARD_PROGRAM},
};

use super::{
    super::{DatapathError, Pins, mapped::Mapped, tcx},
    GuardSettings,
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
    /// Somebody else's program is where ours goes.
    pub foreign: Option<String>,
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
            foreign: None,
            is_counted: false,
            counts: None,
        }
    }

    /// Whether a guard with these settings is in force there, and its counts are kept.
    pub fn carries_out(&self, settings: &GuardSettings) -> bool {
        self.is_counted && self.settings_hash == Some(settings.hash())
    }
}

/// Looks at interfaces by name, and at all others that a link is pinned for.
pub(super) fn observe(
    pins: &Pins,
    interfaces: &[&str],
    programs: &[XdpProgram],
) -> Result<Vec<GuardHook>, DatapathError> {
    let pinned = pins.guarded()?;
    let others = pinned.iter().map(String::as_str).filter(|name| !interfaces.contains(name));
    let counts = MapInfo::from_pin(pins.guard_counts()).ok().map(|info| info.id());
    let names = interfaces.iter().copied().chain(others);
    names
        .map(|name| {
            let program = programs.iter().find(|program| program.interface == name);
            hook(pins, name, program, counts)
        })
        .collect()
}

fn hook(
    pins: &Pins,
    interface: &str,
    program: Option<&XdpProgram>,
    pinned_counts: Option<u32>,
) -> Result<GuardHook, DatapathError> {
    let link = pinned_link(pins, interface)?;
    let mut hook = GuardHook { is_orphaned: link.is_some(), ..GuardHook::absent(interface) };
    let Some(program) = program else { return Ok(hook) };
    let info = loaded_programs().filter_map(Result::ok).find(|i| i.id() == program.program_id);
    if link.is_some_and(|link| link.program_id() == program.program_id) {
        let Some(info) = info else { return Ok(hook) };
        hook.mode = Some(program.mode);
        hook.is_orphaned = false;
        held(&mut hook, &info)?;
        hook.is_counted = hook.counts.is_some() && hook.counts == pinned_counts;
    } else {
        let name = info.as_ref().and_then(ProgramInfo::name_as_str).unwrap_or("?");
        hook.foreign = Some(format!("{name} (id {})", program.program_id));
    }
    Ok(hook)
}

/// Looks at the maps of our program.
fn held(hook: &mut GuardHook, program: &ProgramInfo) -> Result<(), DatapathError> {
    let ids = program.map_ids().map_err(DatapathError::program(GUARD_PROGRAM, "inspect"))?;
    for id in ids.unwrap_or_default() {
        let info = MapInfo::from_id(id).map_err(DatapathError::map("of a program", "inspect"))?;
        match info.name_as_str() {
            Some(names::GUARD) if info.value_size() as usize == size_of::<Identity>() => {
                let identity = identity(id)?;
                let is_ours = identity.abi_version == ABI_VERSION;
                hook.settings_hash = is_ours.then_some(identity.settings_hash);
            }
            Some(names::GUARD_COUNTS) => hook.counts = Some(id),
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

/// Puts the program where it is wanted.
pub(super) fn switch(
    pins: &Pins,
    place: &GuardPlace<'_>,
    found: Option<&GuardHook>,
    program: &mut Xdp,
) -> Result<(), DatapathError> {
    let interface = place.interface;
    if let Some(foreign) = found.and_then(|hook| hook.foreign.clone()) {
        return Err(DatapathError::ForeignXdp {
            interface: interface.to_owned(),
            program: foreign,
        });
    }
    let now = found.and_then(|hook| hook.mode);
    if now.is_some() && place.mode.is_none_or(|wanted| now == Some(wanted)) {
        return update(pins, interface, program);
    }
    remove_link(pins, interface)?;
    let link = match place.mode {
        Some(mode) => attach(interface, mode, program)?,
        None => match attach(interface, XdpMode::Driver, program) {
            Err(DatapathError::XdpMode { .. }) => attach(interface, XdpMode::Generic, program)?,
            attached => attached?,
        },
    };
    let path = pins.guard_link(interface);
    let pinned = link.pin(&path);
    pinned.map_err(|source| DatapathError::Pinning { path, source: Box::new(source) })?;
    Ok(())
}

fn update(pins: &Pins, interface: &str, program: &mut Xdp) -> Result<(), DatapathError> {
    let path = pins.guard_link(interface);
    let failed = |action| DatapathError::link(&path, action);
    let pinned = PinnedLink::from_pin(&path).map_err(failed("open"))?;
    let link = XdpLink::try_from(FdLink::from(pinned)).map_err(failed("open"))?;
    let updated = program.attach_to_link(link);
    updated.map_err(DatapathError::program(GUARD_PROGRAM, "switch to"))?;
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
        Err(error) if is_taken(&error) => {
            let program = "another XDP program".to_owned();
            Err(DatapathError::ForeignXdp { interface, program })
        }
        Err(error) => {
            Err(DatapathError::XdpMode { interface, mode: mode.label(), source: Box::new(error) })
        }
    }
}

/// Takes the guard off an interface, and with the last one its tables; whether there was one.
pub(super) fn remove(pins: &Pins, interface: &str) -> Result<bool, DatapathError> {
    let was_there = remove_link(pins, interface)?;
    if pins.guarded()?.is_empty() {
        for path in [pins.guard_sources(), pins.guard_flows(), pins.guard_attempts()] {
            if path.exists() {
                pins.remove_file(&path)?;
            }
        }
    }
    Ok(was_there)
}

/// Detaches the link, at once: with its pin alone it would go when the kernel finds the time.
fn remove_link(pins: &Pins, interface: &str) -> Result<bool, DatapathError> {
    let path = pins.guard_link(interface);
    if !path.exists() {
        return Ok(false);
    }
    if let Some(link) = pinned_link(pins, interface)? {
        let detached = tcx::detach_link(link.id());
        detached.map_err(DatapathError::hook(GUARD_PROGRAM, "detach from"))?;
    }
    pins.remove_file(&path)?;
    Ok(true)
}

/// The link that is pinned, if one is.
fn pinned_link(pins: &Pins, interface: &str) -> Result<Option<LinkInfo>, DatapathError> {
    let path = pins.guard_link(interface);
    if !path.exists() {
        return Ok(None);
    }
    let failed = || DatapathError::link(&path, "open");
    let link = FdLink::from(PinnedLink::from_pin(&path).map_err(failed())?);
    let info = link.info().map_err(failed())?;
    Ok(matches!(info.link_type(), Ok(LinkType::Xdp)).then_some(info))
}

/// Whether somebody else's program is there, attached by a link or in another mode
/// (dev_xdp_attach(), net/core/dev.c, 6.12).
fn is_taken(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    matches!(error.io_error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists)
}
