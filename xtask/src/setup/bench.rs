//! What is measured beside the relay.

use anyhow::Result;

use super::{Missing, Part};
use crate::{apt, process};

/// A program of the package, and the package.
const TOOL: (&str, &str) = ("iptables-legacy-restore", "iptables");

/// It, if it is not there.
pub(super) fn missing() -> Vec<Missing> {
    let (tool, package) = TOOL;
    let absent = process::find(tool).is_none().then(|| Missing {
        part: Part::Bench,
        what: tool.to_owned(),
        remedy: format!("apt-get install {package}"),
    });
    absent.into_iter().collect()
}

/// Installs its package.
pub(super) fn install() -> Result<()> {
    let (_, package) = TOOL;
    if missing().is_empty() {
        return Ok(());
    }
    super::step(format!("installing {package}"), || apt::install(&[package]))
}
