//! The toolchain that builds the eBPF programs: rustup's nightly with rust-src, or Debian's rustc
//! with its core library for BPF. relay's build script chooses by the same rules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_vm::{apt, process, workspace};

use super::{Missing, Part};

/// The name of Debian's toolchain in rustup.
const LINKED: &str = "bpf";

/// Packages of Debian's toolchain.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];

/// A version of bpf-linker that works with both toolchains.
const LINKER_VERSION: &str = "0.13.0";

/// A toolchain that builds for BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// rustup's nightly with rust-src.
    Nightly,
    /// Debian's, as a toolchain of rustup.
    Linked,
    /// The one in PATH, without rustup.
    InPath,
}

impl Toolchain {
    /// The toolchain of this machine.
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

    pub(crate) fn has_clippy(self) -> bool {
        process::succeeds(self.cargo().args(["clippy", "--version"]))
    }
}

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

/// bpf-linker in PATH or in the directory of `cargo install`.
pub(crate) fn linker() -> Option<PathBuf> {
    process::find("bpf-linker").or_else(|| {
        workspace::cargo_bin().map(|bin| bin.join("bpf-linker")).filter(|path| path.is_file())
    })
}

/// Installs a toolchain if there is none.
pub(super) fn install_toolchain() -> Result<()> {
    if Toolchain::find().is_some() {
        return Ok(());
    }
    if PACKAGES.iter().any(|package| apt::candidate(package).is_none()) {
        // A fresh machine has no package lists.
        super::step("updating apt's package lists".to_owned(), apt::update).ok();
    }
    if PACKAGES.iter().all(|package| apt::candidate(package).is_some()) {
        super::step(format!("installing {}", PACKAGES.join(" ")), || apt::install(&PACKAGES))?;
        if has_rustup() {
            process::read(Command::new("rustup").args(["toolchain", "link", LINKED, "/usr"]))
                .context("cannot link Debian's toolchain into rustup")?;
        }
        return Ok(());
    }
    super::step("installing rustup's nightly with rust-src".to_owned(), || {
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        process::read(command.args(["--component", "rust-src", "--component", "clippy"]))
            .map(drop)
            .context("apt does not offer rustc-web, and rustup failed")
    })
}

/// Builds bpf-linker if there is none.
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
    // Halves the build time. LLVM, which does the work, comes compiled.
    for (setting, value) in [("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "false")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    // Keep its artifacts out of the project's build directory.
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
