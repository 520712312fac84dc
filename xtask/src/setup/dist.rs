//! Tools that pack a release.

use anyhow::Result;
use relay_vm::{process, workspace};

use super::{Missing, Part};

/// The version of cargo-deb that relay/Cargo.toml is written for.
const PACKER_VERSION: &str = "3.8.0";

/// Programs and their packages.
const TOOLS: [(&str, &str); 3] = [("lintian", "lintian"), ("dpkg-deb", "dpkg"), ("file", "file")];

pub(super) fn missing() -> Vec<Missing> {
    let mut pieces: Vec<_> = absent_tools()
        .map(|(tool, package)| Missing::packaged(Part::Dist, tool, package))
        .collect();
    if super::installed("cargo-deb").is_none() {
        let remedy = format!("cargo install cargo-deb --version {PACKER_VERSION} --locked");
        pieces.push(Missing { part: Part::Dist, what: "cargo-deb".to_owned(), remedy });
    }
    pieces
}

pub(super) fn install() -> Result<()> {
    super::packages(absent_tools().map(|(_, package)| package).collect())?;
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
