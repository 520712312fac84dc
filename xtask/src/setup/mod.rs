//! What development needs on this machine, and how to install it.

mod bench;
mod browser;
pub(crate) mod deny;
pub(crate) mod dist;
pub(crate) mod ebpf;
pub(crate) mod fleet;
mod lab;
pub(crate) mod lints;
mod prometheus;
mod python;
pub(crate) mod target;

use std::path::PathBuf;

use anyhow::Result;
use relay_vm::progress::{Step, say};
use relay_vm::{Architecture, apt, process, workspace};

/// A group of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// To build the eBPF programs.
    Ebpf,
    /// rustfmt, clippy and cargo-deny.
    Lints,
    /// For the lab in a virtual machine of this architecture, and on this machine: network and
    /// WireGuard tools.
    Lab(Architecture),
    /// Prometheus, for the tests of metrics, alerts and the dashboard.
    Prometheus,
    /// Chromium and what judges a page and an API, for the tests of `relay serve`.
    Browser,
    /// For comparison in the bench.
    Bench,
    /// To build static binaries for this architecture.
    Target(Architecture),
    /// To pack a release.
    Dist,
    /// For the fleet tier: whole Debian machines and Ansible.
    Fleet,
}

impl Part {
    /// For building and testing, in the order of installation.
    pub(crate) const ALL: [Self; 5] =
        [Self::Ebpf, Self::Lints, Self::Lab(Architecture::Amd64), Self::Prometheus, Self::Browser];
}

/// A missing tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) part: Part,
    pub(crate) what: String,
    /// How to install it.
    pub(crate) remedy: String,
}

impl Missing {
    /// A tool of this package of Debian's.
    fn packaged(part: Part, what: &str, package: &str) -> Self {
        Self { part, what: what.to_owned(), remedy: format!("apt-get install {package}") }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "missing {}; install it: {}", self.what, self.remedy)
    }
}

/// The missing tools of these parts.
pub(crate) fn missing(parts: &[Part]) -> Vec<Missing> {
    parts
        .iter()
        .flat_map(|part| match part {
            Part::Ebpf => ebpf::missing(),
            Part::Lints => lints::missing().into_iter().chain(deny::missing()).collect(),
            Part::Lab(architecture) => lab::missing(*architecture),
            Part::Prometheus => prometheus::missing(),
            Part::Browser => browser::missing(),
            Part::Bench => bench::missing(),
            Part::Target(architecture) => target::missing(*architecture),
            Part::Dist => dist::missing(),
            Part::Fleet => fleet::missing(),
        })
        .collect()
}

/// Installs the missing tools of these parts. Reports and returns those that are still missing.
pub(crate) fn ensure(parts: &[Part]) -> Vec<Missing> {
    let report = |outcome: Result<()>| {
        if let Err(error) = outcome {
            say(&format!("setup: {error:#}"));
        }
    };
    std::thread::scope(|scope| {
        if parts.contains(&Part::Ebpf) {
            report(ebpf::install_toolchain());
            // Builds while packages are downloaded.
            scope.spawn(move || report(ebpf::install_linker()));
        }
        if parts.contains(&Part::Lints) {
            report(lints::install());
            report(deny::install());
        }
        if parts.contains(&Part::Prometheus) {
            report(prometheus::install());
        }
        if parts.contains(&Part::Browser) {
            report(browser::install());
        }
        if parts.contains(&Part::Bench) {
            report(bench::install());
        }
        for architecture in Architecture::ALL {
            if parts.contains(&Part::Lab(architecture)) {
                report(lab::install(architecture));
            }
            if parts.contains(&Part::Target(architecture)) {
                report(target::install(architecture));
            }
        }
        if parts.contains(&Part::Dist) {
            report(dist::install());
        }
        if parts.contains(&Part::Fleet) {
            report(fleet::install());
        }
    });
    let left = missing(parts);
    for piece in &left {
        say(&format!("setup: {piece}"));
    }
    left
}

/// This program, in PATH or in the directory of `cargo install`.
fn installed(program: &str) -> Option<PathBuf> {
    process::find(program).or_else(|| {
        workspace::cargo_bin().map(|bin| bin.join(program)).filter(|path| path.is_file())
    })
}

/// Installs packages, if there are any.
fn packages(mut packages: Vec<&str>) -> Result<()> {
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    step(format!("installing {}", packages.join(" ")), || apt::install(&packages))
}

/// Runs one step and reports its outcome.
fn step(what: String, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let step = Step::start(format!("setup: {what}"));
    let outcome = work();
    step.finish(if outcome.is_ok() { "done" } else { "failed" });
    outcome
}
