//! Tools that build and pack a release.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use relay_vm::{process, workspace};

use super::{Missing, Part};

/// Releases are static.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The version of cargo-deb that relay/Cargo.toml is written for.
const PACKER_VERSION: &str = "3.8.0";

/// Programs and their packages.
const TOOLS: [(&str, &str); 5] = [
    ("lintian", "lintian"),
    ("dpkg-deb", "dpkg"),
    ("strip", "binutils"),
    ("file", "file"),
    // Compiles SQLite for the target.
    ("musl-gcc", "musl-tools"),
];

pub(super) fn missing() -> Vec<Missing> {
    let missing = |what: String, remedy| Missing { part: Part::Dist, what, remedy };
    let mut pieces: Vec<_> = absent_tools()
        .map(|(tool, package)| Missing::packaged(Part::Dist, tool, package))
        .collect();
    if !has_library() {
        let what = format!("Rust's standard library for {TARGET}");
        pieces.push(missing(what, format!("rustup target add {TARGET}")));
    }
    if super::installed("cargo-deb").is_none() {
        let remedy = format!("cargo install cargo-deb --version {PACKER_VERSION} --locked");
        pieces.push(missing("cargo-deb".to_owned(), remedy));
    }
    pieces
}

pub(super) fn install() -> Result<()> {
    super::packages(absent_tools().map(|(_, package)| package).collect())?;
    if !has_library() {
        super::step(format!("adding rustup's {TARGET}"), || {
            process::read(Command::new("rustup").args(["target", "add", TARGET]))
                .map(drop)
                .context("only rustup provides the musl standard library")
        })?;
    }
    if super::installed("cargo-deb").is_none() {
        let mut command = workspace::cargo();
        command.args(["install", "cargo-deb", "--version", PACKER_VERSION, "--locked"]);
        // Keep its artifacts out of the project's build directory.
        command.env_remove("CARGO_TARGET_DIR");
        super::step(format!("building cargo-deb {PACKER_VERSION}"), || {
            process::read(&mut command).map(drop)
        })?;
    }
    Ok(())
}

fn absent_tools() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOOLS.into_iter().filter(|(tool, _)| process::find(tool).is_none())
}

/// Whether the compiler has the target's standard library.
fn has_library() -> bool {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]);
    process::read(command.current_dir(workspace::root()))
        .is_ok_and(|directory| PathBuf::from(directory.trim()).is_dir())
}
