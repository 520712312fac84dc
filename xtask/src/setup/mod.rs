//! What the project needs from its machine: what is missing, and how it is installed.

mod bench;
pub(crate) mod dist;
pub(crate) mod ebpf;
pub(crate) mod fleet;
mod lab;
pub(crate) mod lints;

use anyhow::Result;

use crate::progress::{Step, say};

/// A part of the project's needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Building the programs for the kernel.
    Ebpf,
    /// Formatting and lints.
    Lints,
    /// Namespaces, WireGuard's tools, and the virtual machine.
    Lab,
    /// What the bench measures beside the relay.
    Bench,
    /// Building and packing a release.
    Dist,
    /// Whole Debian machines, and Ansible.
    Fleet,
}

impl Part {
    /// What building and testing need, in the order in which they are installed.
    pub(crate) const ALL: [Self; 3] = [Self::Ebpf, Self::Lints, Self::Lab];
}

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// What it is needed for.
    pub(crate) part: Part,
    /// Its name.
    pub(crate) what: String,
    /// The command that installs it.
    pub(crate) remedy: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "missing {}; install it: {}", self.what, self.remedy)
    }
}

/// What is missing of these parts.
pub(crate) fn missing(parts: &[Part]) -> Vec<Missing> {
    parts
        .iter()
        .flat_map(|part| match part {
            Part::Ebpf => ebpf::missing(),
            Part::Lints => lints::missing(),
            Part::Lab => lab::missing(),
            Part::Bench => bench::missing(),
            Part::Dist => dist::missing(),
            Part::Fleet => fleet::missing(),
        })
        .collect()
}

/// Installs what is missing of these parts, says so, and returns what could not be had.
pub(crate) fn ensure(parts: &[Part]) -> Vec<Missing> {
    let tell = |outcome: Result<()>| {
        if let Err(error) = outcome {
            say(&format!("setup: {error:#}"));
        }
    };
    std::thread::scope(|scope| {
        if parts.contains(&Part::Ebpf) {
            tell(ebpf::install_toolchain());
            // The processors build the linker while packages come over the network.
            scope.spawn(move || tell(ebpf::install_linker()));
        }
        if parts.contains(&Part::Lints) {
            tell(lints::install());
        }
        if parts.contains(&Part::Lab) {
            tell(lab::install());
        }
        if parts.contains(&Part::Bench) {
            tell(bench::install());
        }
        if parts.contains(&Part::Dist) {
            tell(dist::install());
        }
        if parts.contains(&Part::Fleet) {
            tell(fleet::install());
        }
    });
    let left = missing(parts);
    for piece in &left {
        say(&format!("setup: {piece}"));
    }
    left
}

/// Does one thing and says how it went.
fn step(what: String, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let step = Step::start(format!("setup: {what}"));
    let outcome = work();
    step.finish(if outcome.is_ok() { "done" } else { "failed" });
    outcome
}
