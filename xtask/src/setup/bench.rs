//! Tools for comparison in the bench.

use anyhow::Result;
use relay_vm::process;

use super::{Missing, Part};

/// A program and its package.
const TOOL: (&str, &str) = ("iptables-legacy-restore", "iptables");

pub(super) fn missing() -> Vec<Missing> {
    let (tool, package) = TOOL;
    let is_absent = process::find(tool).is_none();
    is_absent.then(|| Missing::packaged(Part::Bench, tool, package)).into_iter().collect()
}

pub(super) fn install() -> Result<()> {
    let (_, package) = TOOL;
    super::packages(missing().iter().map(|_| package).collect())
}
