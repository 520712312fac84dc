//! The compilers and the linker of a release, against those that the repository names.

use std::fmt;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use relay_build::{BPF_LINKER, DEBIAN, RUST, Toolchain};
use relay_vm::{process, workspace};

use crate::setup::ebpf;

/// What they print of their versions.
pub(super) struct Toolchains {
    /// The compiler of the binary.
    pub(super) rustc: String,
    /// The compiler of the programs.
    pub(super) bpf_rustc: String,
    pub(super) bpf_linker: String,
    is_nightly: bool,
}

impl Toolchains {
    /// Those of this machine.
    ///
    /// # Errors
    /// One is not there, or does not run.
    pub(super) fn find() -> Result<Self> {
        let toolchain = Toolchain::find().context("no Rust toolchain here builds for BPF")?;
        let linker = ebpf::linker().context("bpf-linker is missing")?;
        let mut rustc = Command::new("rustc");
        rustc.arg("--version").current_dir(workspace::root());
        Ok(Self {
            rustc: process::read(&mut rustc)?.trim().to_owned(),
            bpf_rustc: toolchain.version()?,
            bpf_linker: process::read(Command::new(linker).arg("--version"))?.trim().to_owned(),
            is_nightly: toolchain == Toolchain::Nightly,
        })
    }

    /// # Errors
    /// One has another version than relay-build/src/pins.rs names.
    pub(super) fn require_pinned(&self) -> Result<()> {
        let mut expected = vec![
            (&self.rustc, format!("rustc {RUST}")),
            (&self.bpf_linker, format!("bpf-linker {BPF_LINKER}")),
        ];
        // A nightly is found by its day.
        if !self.is_nightly {
            expected.push((&self.bpf_rustc, format!("rustc {DEBIAN}")));
        }
        for (found, expected) in expected {
            if !has_version(found, &expected) {
                bail!(
                    "a release is built with {expected}, but here is {found}; install that one, \
                     name this one in relay-build/src/pins.rs, or pass --any-toolchain for a build \
                     of your own"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Toolchains {
    /// The pinned ones, Debian's for BPF.
    pub(super) fn example() -> Self {
        Self {
            rustc: format!("rustc {RUST} (59807616e 2026-04-14)"),
            bpf_rustc: format!(
                "rustc {DEBIAN} (ac68faa20 2026-05-25) (built from a source tarball)"
            ),
            bpf_linker: format!("bpf-linker {BPF_LINKER}"),
            is_nightly: false,
        }
    }
}

impl fmt::Display for Toolchains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, for BPF {} and {}", self.rustc, self.bpf_rustc, self.bpf_linker)
    }
}

/// Whether the text is this, or this and more words.
fn has_version(text: &str, expected: &str) -> bool {
    text.strip_prefix(expected).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_a_compiler_makes_no_release() {
        let mut toolchains = Toolchains::example();
        toolchains.require_pinned().expect("the pinned ones");
        toolchains.rustc = format!("rustc {RUST}1 (0 2026-04-14)");
        let error = toolchains.require_pinned().expect_err("another version").to_string();
        assert!(error.contains(&format!("rustc {RUST}, but here is rustc {RUST}1")), "{error}");
    }
}
