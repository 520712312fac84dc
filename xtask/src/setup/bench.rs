//! Tools for comparison in the bench.

use anyhow::Result;
use relay_vm::{apt, process};

use super::{Missing, Part};

/// A program and its package.
const TOOL: (&str, &str) = ("iptables-legacy-restore", "iptables");

pub(super) fn missing() -> Vec<Missing> {
    let (tool, package) = TOOL;
    let absent = process::find(tool).is_none().then(|| Missing {
        part: Part::Bench,
        what: tool.to_owned(),
        remedy: format!("apt-get install {package}"),
    });
    absent.into_iter().collect()
}

pub(super) fn install() -> Result<()> {
    let (_, package) = TOOL;
    if missing().is_empty() {
        return Ok(());
    }
    super::step(format!("installing {package}"), || apt::install(&[package]))
}
