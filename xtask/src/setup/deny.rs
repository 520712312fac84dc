//! cargo-deny, which judges the crates that are used.

use std::path::PathBuf;

use anyhow::Result;
use relay_vm::{process, workspace};

use super::{Missing, Part};

/// The version that deny.toml is written for.
const VERSION: &str = "0.20.2";

pub(crate) fn program() -> Option<PathBuf> {
    super::installed("cargo-deny")
}

pub(super) fn missing() -> Option<Missing> {
    program().is_none().then(|| Missing {
        part: Part::Lints,
        what: "cargo-deny".to_owned(),
        remedy: format!("cargo install cargo-deny --version {VERSION} --locked"),
    })
}

/// Builds it if there is none, from the sources on crates.io and the versions that it names.
pub(super) fn install() -> Result<()> {
    if program().is_some() {
        return Ok(());
    }
    let mut command = workspace::cargo();
    command.args(["install", "cargo-deny", "--version", VERSION, "--locked"]);
    // It runs for seconds; optimized it would build for minutes.
    for (setting, value) in
        [("OPT_LEVEL", "0"), ("CODEGEN_UNITS", "16"), ("DEBUG", "false"), ("LTO", "off")]
    {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    // Keep its artifacts out of the project's build directory.
    command.env_remove("CARGO_TARGET_DIR");
    super::step(format!("building cargo-deny {VERSION}"), || process::read(&mut command).map(drop))
}
