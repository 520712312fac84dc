//! `cargo xtask docs`

use std::process::ExitCode;

use anyhow::{Result, bail};
use relay_vm::workspace;

/// Write the generated parts of docs/reference
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Lets the tests that compare the pages with the program write them instead.
///
/// # Errors
/// The tests do not build, or fail for something else than a stale page.
pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--package", "relay", "--test", "reference"]);
    command.current_dir(workspace::root()).env("RELAY_DOCS", "write");
    if !command.status()?.success() {
        bail!("docs/reference could not be written");
    }
    Ok(ExitCode::SUCCESS)
}
