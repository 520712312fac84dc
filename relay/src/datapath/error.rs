use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use aya::{
    EbpfError,
    maps::MapError,
    pin::PinError,
    programs::{ProgramError, links::LinkError},
};

/// Why the datapath was not read or not changed.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The pin root is not on a BPF file system.
    #[error(
        "{}: found no BPF file system, expected one to keep the programs in; \
         run `mount -t bpf -o mode=0700 bpf {}`, or name another with --bpffs",
        .0.display(), .0.display()
    )]
    NoBpffs(PathBuf),
    /// The BPF file system is mounted read-only.
    #[error(
        "{}: found the BPF file system read-only, so that the kernel does not let pins be read either, \
         expected it writable; run `mount -o remount,rw {}`",
        .0.display(), .0.display()
    )]
    ReadOnly(PathBuf),
    /// A directory of pins is not root's alone.
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
    /// A program was replaced while it was inspected.
    #[error(
        "program (id {id}): found it replaced during inspection, expected no change meanwhile; run the \
         command again"
    )]
    Replaced {
        /// The kernel's id of it.
        id: u32,
    },
    /// The programs of this interface's name run on another interface.
    #[error(
        "interface {interface}: found its programs on {place}, expected them only on {interface}; that \
         relay keeps running: give its interface its former name and network namespace back, or delete \
         the interface, then run `relay up`"
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
        /// The action.
        action: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// A pinned map has another shape than this version's.
    #[error(
        "{path}: found a map of {found}, expected {expected}; relay did not create it: remove it with \
         `rm {path}` and run `relay up`, which creates a new one that counts from zero",
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
        /// Name.
        program: &'static str,
        /// The action.
        action: &'static str,
        /// Cause.
        source: Box<ProgramError>,
    },
    /// The kernel's verifier rejected a program.
    #[error(
        "program {program}: the kernel's verifier rejected it; relay supports Linux 6.1 and newer, so \
         this is a fault of relay: report it with the kernel's version and the end of the verifier's \
         log:\n{log}"
    )]
    Rejected {
        /// Name.
        program: &'static str,
        /// The end of the verifier's log.
        log: String,
    },
    /// The verifier gave up for a reason that is not the program.
    #[error("load program {program}; try again")]
    NotLoaded {
        /// Name.
        program: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// A map cannot be used.
    #[error("{action} map {map}")]
    Map {
        /// Name.
        map: String,
        /// The action.
        action: &'static str,
        /// Cause.
        source: Box<MapError>,
    },
    /// A hook cannot be inspected or cleared.
    #[error("{action} the hook of program {program}")]
    Hook {
        /// The program.
        program: &'static str,
        /// The action.
        action: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// A foreign filter has the place of ours.
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
        /// Name.
        map: String,
        /// Cause.
        source: io::Error,
    },
    /// A link cannot be used.
    #[error("{action} link {}", path.display())]
    Link {
        /// Its pin.
        path: PathBuf,
        /// The action.
        action: &'static str,
        /// Cause.
        source: Box<LinkError>,
    },
    /// A pin cannot be made.
    #[error("pin {}", path.display())]
    Pinning {
        /// Where.
        path: PathBuf,
        /// Cause.
        source: Box<PinError>,
    },
    /// The log of the programs cannot be read.
    #[error("read the log of the programs")]
    Log(#[source] Box<aya_log::Error>),
    /// The programs lack what the loader expects of them.
    #[error("the BPF object lacks {0}; this binary is broken: build it again")]
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
    /// A foreign XDP program has the place of the guard.
    #[error(
        "interface {interface}: found {obstacle}, expected no XDP program; relay leaves it in place: \
         {}, or remove {interface} from guard.interfaces", obstacle.remedy
    )]
    Obstructed {
        /// The interface.
        interface: String,
        /// What is attached.
        obstacle: Obstacle,
    },
    /// The guard cannot run there in that mode.
    #[error(
        "interface {interface}: cannot run program relay_guard in mode {mode}; set guard.mode to \
         another, or remove {interface} from guard.interfaces"
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
        /// Name.
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
    /// No number of a rule is left.
    #[error("{found} rules, expected at most {most}; join rules that name the same peers")]
    TooManyRules {
        /// How many there are.
        found: usize,
        /// How many numbers there are.
        most: u32,
    },
}

impl DatapathError {
    /// Whether the host lacks something that its operator can provide: exit code 3.
    pub const fn is_lack(&self) -> bool {
        matches!(
            self,
            Self::NoBpffs(_) | Self::ReadOnly(_) | Self::Distrusted { .. } | Self::XdpMode { .. }
        )
    }

    /// Whether something changed while it was inspected, so that another attempt may succeed.
    pub fn is_transient(&self) -> bool {
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

    /// A program that did not load. The verifier says why in its log, which is empty if the kernel
    /// failed before it asked the verifier, as for a process without the permission.
    pub(super) fn load(program: &'static str) -> impl FnOnce(ProgramError) -> Self {
        move |source| {
            let ProgramError::LoadError { io_error, verifier_log } = source else {
                return Self::program(program, "load")(source);
            };
            if is_passing(&io_error) {
                return Self::NotLoaded { program, source: io_error };
            }
            match end(&verifier_log.to_string()) {
                log if log.is_empty() => {
                    let source = ProgramError::LoadError { io_error, verifier_log };
                    Self::program(program, "load")(source)
                }
                log => Self::Rejected { program, log },
            }
        }
    }
}

/// Whether the verifier gave up for a reason that is not the program: a signal, or too little memory.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR | libc::ENOMEM))
}

/// The last lines of a verifier's log, which say what is wrong.
fn end(log: &str) -> String {
    const LINES: usize = 16;
    let lines: Vec<&str> = log.trim().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// A foreign XDP program in place of the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub found: String,
    /// How to remove it.
    pub remedy: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifiers_log_is_cut_to_its_end() {
        let log: String = (0..100).map(|line| format!("{line}: (95) exit\n")).collect();
        let end = end(&format!("{log}invalid read from stack R10 off=-104 size=8\n"));
        assert_eq!(end.lines().count(), 16);
        assert!(end.starts_with("85: ") && end.ends_with("off=-104 size=8"), "{end}");
        assert_eq!(super::end("\n"), "");
    }
}
