use std::{
    io,
    path::{Path, PathBuf},
};

use super::Obstacle;

use aya::{
    EbpfError,
    maps::MapError,
    pin::PinError,
    programs::{ProgramError, links::LinkError},
};

/// What the kernel refused of the datapath.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The pin root is not on a BPF file system.
    #[error(
        "{}: found no BPF file system, expected one to keep the programs in; \
         run `mount -t bpf -o mode=0700 bpf {}`, or name another with --bpffs",
        .0.display(), .0.display()
    )]
    NoBpffs(PathBuf),
    /// Others than root can have put something where pins go.
    #[error(
        "{}: found {found}, expected a directory of root's that nobody else can write to; {remedy}",
        path.display()
    )]
    Distrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A program went while it was looked at.
    #[error(
        "program (id {id}): found it replaced while it was looked at, expected a policy that stays for \
         a moment; run the command again"
    )]
    Replaced {
        /// The kernel's id of it.
        id: u32,
    },
    /// The programs of this interface's name run on another interface.
    #[error(
        "interface {interface}: found its programs on {place}, expected them on none but \
         {interface}; that relay goes on: give its interface back the name and the network \
         namespace that it had, or delete that interface, then run `relay up`"
    )]
    Elsewhere {
        /// The interface.
        interface: String,
        /// Where they are.
        place: String,
    },
    /// A file of the pin directory.
    #[error("{}: {action}", path.display())]
    Pin {
        /// Which one.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A pinned map is not what this version makes.
    #[error(
        "{path}: found a map of {found}, expected {expected}; relay did not make it: remove it with \
         `rm {path}` and run `relay up`, which makes another and counts from zero there",
        path = path.display()
    )]
    Incompatible {
        /// Its pin.
        path: PathBuf,
        /// Its shape.
        found: String,
        /// The shape of this version.
        expected: String,
    },
    /// The object does not load.
    #[error("load the BPF object of relay")]
    Load(#[source] Box<EbpfError>),
    /// A program does not load or attach.
    #[error("{action} program {program}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: Box<ProgramError>,
    },
    /// A map cannot be used.
    #[error("{action} map {map}")]
    Map {
        /// Its name.
        map: String,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: Box<MapError>,
    },
    /// A place where programs run cannot be looked at or cleared.
    #[error("{action} the hook of program {program}")]
    Hook {
        /// The program.
        program: &'static str,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody else's filter is where ours goes.
    #[error(
        "interface {interface}: found program {program} as the filter of priority 1 and handle 1, \
         expected none; remove it with `tc filter del dev {interface} {direction} pref 1`, or \
         give it another priority"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// Its side, as `tc` calls it.
        direction: &'static str,
        /// What is there.
        program: String,
    },
    /// A map cannot be mapped into memory.
    #[error("mmap map {map}")]
    Mmap {
        /// Its name.
        map: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A link cannot be used.
    #[error("{action} link {}", path.display())]
    Link {
        /// Its pin.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: Box<LinkError>,
    },
    /// A pin cannot be made.
    #[error("pin {}", path.display())]
    Pinning {
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: Box<PinError>,
    },
    /// The log of the programs cannot be read.
    #[error("read the log of the programs")]
    Log(#[source] Box<aya_log::Error>),
    /// The programs lack what the loader expects of them.
    #[error("the BPF object lacks {0}; this binary is broken, build it again")]
    Lacks(&'static str),
    /// The program in force does not answer probes.
    #[error(
        "program relay_ingress: found mark {mark:#x} after the probe {probe:#x}, expected that of a \
         verdict; the program is of another version: run `relay up`"
    )]
    NoAnswer {
        /// The mark after the run.
        mark: u32,
        /// The mark of the probe.
        probe: u32,
    },
    /// No program is attached that could be probed.
    #[error("interface {interface}: found no relay_ingress on it, expected one; run `relay up`")]
    NotAttached {
        /// The interface.
        interface: String,
    },
    /// Something is where the guard goes that is not its own.
    #[error(
        "interface {interface}: found {obstacle}, expected no XDP program; relay leaves it alone: \
         {}, or take {interface} out of guard.interfaces", obstacle.remedy
    )]
    Obstructed {
        /// The interface.
        interface: String,
        /// What is there.
        obstacle: Obstacle,
    },
    /// The guard cannot run there in that mode.
    #[error(
        "interface {interface}: cannot run program relay_guard in mode {mode}; set guard.mode to \
         another, or take {interface} out of guard.interfaces"
    )]
    XdpMode {
        /// The interface.
        interface: String,
        /// The mode.
        mode: &'static str,
        /// Why.
        source: Box<ProgramError>,
    },
    /// There is no such interface for the guard.
    #[error("interface {interface}: found none of that name, expected one to guard")]
    NoUnderlay {
        /// Its name.
        interface: String,
    },
    /// No slot is left.
    #[error("{found} peers, expected at most {most}")]
    TooManyPeers {
        /// How many there are.
        found: usize,
        /// How many slots there are.
        most: u32,
    },
}

impl DatapathError {
    /// Whether the host lacks something that its operator can give: exit code 3.
    pub const fn is_lack(&self) -> bool {
        matches!(self, Self::NoBpffs(_) | Self::Distrusted { .. } | Self::XdpMode { .. })
    }

    /// Whether what was looked at went meanwhile, so that another look is worth it.
    pub fn is_of_the_moment(&self) -> bool {
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if kind == Some(io::ErrorKind::NotFound) {
                return matches!(self, Self::Program { .. } | Self::Map { .. });
            }
            source = error.source();
        }
        matches!(self, Self::Replaced { .. })
    }

    pub(super) fn map(map: &str, action: &'static str) -> impl FnOnce(MapError) -> Self {
        move |source| Self::Map { map: map.to_owned(), action, source: Box::new(source) }
    }

    pub(super) fn hook(
        program: &'static str,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Hook { program, action, source }
    }

    pub(super) fn link(path: &Path, action: &'static str) -> impl FnOnce(LinkError) -> Self {
        move |source| Self::Link { path: path.to_owned(), action, source: Box::new(source) }
    }

    pub(super) fn program(
        program: &'static str,
        action: &'static str,
    ) -> impl FnOnce(ProgramError) -> Self {
        move |source| Self::Program { program, action, source: Box::new(source) }
    }
}
