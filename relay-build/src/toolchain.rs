//! The toolchain that builds for BPF: rustup's nightly with rust-src, or Debian's rustc with its core
//! library for BPF.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::pins::NIGHTLY;

/// The name of Debian's toolchain in rustup.
pub const LINKED: &str = "bpf";

/// A toolchain that builds for BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's nightly, of the pinned day, with rust-src.
    Nightly,
    /// Debian's, as a toolchain of rustup.
    Linked,
    /// The one in PATH, without rustup.
    InPath,
}

impl Toolchain {
    /// The toolchain of this machine.
    pub fn find() -> Option<Self> {
        if !has_rustup() {
            return Self::InPath.has_core().then_some(Self::InPath);
        }
        [Self::Nightly, Self::Linked].into_iter().find(|toolchain| toolchain.has_core())
    }

    /// This program of the toolchain.
    pub fn command(self, program: &str) -> Command {
        let name = match self {
            Self::Nightly => NIGHTLY,
            Self::Linked => LINKED,
            Self::InPath => return Command::new(program),
        };
        let mut command = Command::new("rustup");
        command.args(["run", name, program]);
        command
    }

    /// Where its compiler and libraries are.
    ///
    /// # Errors
    /// rustc does not run.
    pub fn sysroot(self) -> Result<PathBuf> {
        self.print(&["--print", "sysroot"]).map(PathBuf::from)
    }

    /// The version of its compiler, as `rustc --version` prints it.
    ///
    /// # Errors
    /// rustc does not run.
    pub fn version(self) -> Result<String> {
        self.print(&["--version"])
    }

    /// Whether it has `core` for BPF: its sources for nightly, a compiled one for Debian's.
    fn has_core(self) -> bool {
        if self == Self::Nightly {
            let library = "lib/rustlib/src/rust/library/core/src/lib.rs";
            return self.sysroot().is_ok_and(|sysroot| sysroot.join(library).is_file());
        }
        let directory =
            self.print(&["--print", "target-libdir", "--target", crate::objects::TARGET]);
        directory.is_ok_and(|directory| has_compiled_core(Path::new(&directory)))
    }

    fn print(self, arguments: &[&str]) -> Result<String> {
        let output =
            self.command("rustc").args(arguments).output().context("cannot start rustc")?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("`rustc {}` failed: {}", arguments.join(" "), message.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn has_compiled_core(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

fn has_rustup() -> bool {
    Command::new("rustup").arg("--version").output().is_ok_and(|output| output.status.success())
}
