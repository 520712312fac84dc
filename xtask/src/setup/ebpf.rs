//! The toolchain that builds the eBPF programs, and their linker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_build::{BPF_LINKER, LINKED, LLVM, NIGHTLY, PACKAGES, Toolchain};
use relay_vm::{apt, process, workspace};

use super::{Missing, Part};

pub(super) fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    if Toolchain::find().is_none() {
        missing.push(Missing {
            part: Part::Ebpf,
            what: "a Rust toolchain that builds for BPF".to_owned(),
            remedy: format!(
                "rustup toolchain install {NIGHTLY} --component rust-src, or on Debian apt-get \
                 install {} and, where rustup is, rustup toolchain link {LINKED} /usr",
                PACKAGES.join(" ")
            ),
        });
    }
    if linker().is_none() {
        missing.push(Missing {
            part: Part::Ebpf,
            what: "bpf-linker".to_owned(),
            remedy: format!(
                "LLVM_PREFIX={} cargo install bpf-linker --version {BPF_LINKER} --locked \
                 --no-default-features --features {LLVM}",
                llvm().display()
            ),
        });
    }
    missing
}

pub(crate) fn linker() -> Option<PathBuf> {
    super::installed("bpf-linker")
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
    super::step(format!("installing rustup's {NIGHTLY} with rust-src"), || {
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
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
    command.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked"]);
    command.args(["--no-default-features", "--features", LLVM]);
    // Elsewhere it asks the llvm-config in PATH.
    if llvm().is_dir() {
        command.env("LLVM_PREFIX", llvm());
    }
    // Halves the build time. LLVM, which does the work, comes compiled.
    for (setting, value) in [("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "false")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    // Keep its artifacts out of the project's build directory.
    command.env_remove("CARGO_TARGET_DIR");
    super::step(format!("building bpf-linker {BPF_LINKER}"), || {
        process::read(&mut command).map(drop)
    })
}

/// Where Debian has it.
fn llvm() -> PathBuf {
    Path::new("/usr/lib").join(LLVM)
}

fn has_rustup() -> bool {
    process::succeeds(Command::new("rustup").arg("--version"))
}
