//! Programs from PyPI, in virtual environments.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use relay_vm::process;

/// What of Python is missing, each with its package.
pub(super) fn absent() -> impl Iterator<Item = (&'static str, &'static str)> {
    let has_python = process::find("python3").is_some();
    let has_venv =
        process::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    let python = (!has_python).then_some(("python3", "python3"));
    python.into_iter().chain((!has_venv).then_some(("Python's venv", "python3-venv")))
}

/// Makes a virtual environment with these packages and nothing else.
pub(super) fn install(environment: &Path, packages: &[&str]) -> Result<()> {
    process::read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(environment.join("bin/pip"));
    process::read(pip.args(["install", "--quiet"]).args(packages)).map(drop)
}
