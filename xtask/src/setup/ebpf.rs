//! The toolchain that builds the programs for the kernel.
//!
//! Two ways lead there: rustup's nightly with the library's sources, or Debian's compiler, whose
//! library comes built for BPF. relay's build script picks between them by the same rules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Missing, Part};
use crate::{apt, process, workspace};

/// The name under which Debian's compiler is made known to rustup.
const LINKED: &str = "bpf";

/// Debian's packages of the second way.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];

/// The linker's release that was tried with both ways.
const LINKER_VERSION: &str = "0.13.0";

/// A compiler that builds for BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// rustup's nightly with rust-src.
    Nightly,
    /// Debian's, linked into rustup.
    Linked,
    /// The one in PATH, where there is no rustup.
    InPath,
}

impl Toolchain {
    /// The one this machine has.
    pub(crate) fn find() -> Option<Self> {
        if !has_rustup() {
            return has_core(&mut Command::new("rustc")).then_some(Self::InPath);
        }
        let nightly = Command::new("rustup")
            .args(["run", "nightly", "rustc", "--print", "sysroot"])
            .output()
            .ok()
            .filter(|output| output.status.success());
        let has_sources = nightly.is_some_and(|output| {
            Path::new(String::from_utf8_lossy(&output.stdout).trim())
                .join("lib/rustlib/src/rust/library/core/src/lib.rs")
                .exists()
        });
        if has_sources {
            return Some(Self::Nightly);
        }
        has_core(Command::new("rustup").args(["run", LINKED, "rustc"])).then_some(Self::Linked)
    }

    /// Its cargo, for lints of the programs.
    pub(crate) fn cargo(self) -> Command {
        let name = match self {
            Self::Nightly => "nightly",
            Self::Linked => LINKED,
            Self::InPath => return Command::new("cargo"),
        };
        let mut command = Command::new("rustup");
        command.args(["run", name, "cargo"]);
        command
    }

    /// Whether it comes with clippy.
    pub(crate) fn has_clippy(self) -> bool {
        process::succeeds(self.cargo().args(["clippy", "--version"]))
    }
}

/// Compiler or linker that is not there.
pub(super) fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    if Toolchain::find().is_none() {
        missing.push(Missing {
            part: Part::Ebpf,
            what: "a Rust toolchain that builds for BPF".to_owned(),
            remedy: "rustup toolchain install nightly --component rust-src, or on Debian \
                     apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf llvm-22-dev and, \
                     where rustup is, rustup toolchain link bpf /usr"
                .to_owned(),
        });
    }
    if linker().is_none() {
        missing.push(Missing {
            part: Part::Ebpf,
            what: "bpf-linker".to_owned(),
            remedy: format!("cargo install bpf-linker --version {LINKER_VERSION} --locked"),
        });
    }
    missing
}

/// bpf-linker in PATH, or where cargo put it.
pub(crate) fn linker() -> Option<PathBuf> {
    process::find("bpf-linker").or_else(|| {
        workspace::cargo_bin().map(|bin| bin.join("bpf-linker")).filter(|path| path.is_file())
    })
}

/// Installs the compiler if there is none.
pub(super) fn install_toolchain() -> Result<()> {
    if Toolchain::find().is_some() {
        return Ok(());
    }
    if PACKAGES.iter().any(|package| apt::candidate(package).is_none()) {
        // A fresh machine has no package lists at all.
        super::step("updating apt's package lists".to_owned(), apt::update).ok();
    }
    if PACKAGES.iter().all(|package| apt::candidate(package).is_some()) {
        super::step(format!("installing {}", PACKAGES.join(" ")), || apt::install(&PACKAGES))?;
        if has_rustup() {
            process::read(Command::new("rustup").args(["toolchain", "link", LINKED, "/usr"]))
                .context("Debian's compiler could not be made known to rustup")?;
        }
        return Ok(());
    }
    super::step("installing rustup's nightly with rust-src".to_owned(), || {
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        process::read(command.args(["--component", "rust-src", "--component", "clippy"]))
            .map(drop)
            .context("apt does not offer Debian's rustc-web either")
    })
}

/// Builds the linker if there is none.
pub(super) fn install_linker() -> Result<()> {
    if linker().is_some() {
        return Ok(());
    }
    let mut command = workspace::cargo();
    command.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"]);
    if Toolchain::find() != Some(Toolchain::Nightly) {
        command.args(["--no-default-features", "--features", "llvm-22"]);
        command.env("LLVM_PREFIX", "/usr/lib/llvm-22");
    }
    // The work is LLVM's, which is compiled already: half the time to build, no slower to run.
    for (setting, value) in [("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "false")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    // Its build must not mix with the project's.
    command.env_remove("CARGO_TARGET_DIR");
    super::step(format!("building bpf-linker {LINKER_VERSION}"), || {
        process::read(&mut command).map(drop)
    })
}

fn has_rustup() -> bool {
    process::succeeds(Command::new("rustup").arg("--version"))
}

fn has_core(rustc: &mut Command) -> bool {
    let found = rustc.args(["--print", "target-libdir", "--target", "bpfel-unknown-none"]).output();
    let Some(output) = found.ok().filter(|output| output.status.success()) else { return false };
    let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}
