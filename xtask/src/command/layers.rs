//! `cargo xtask layers`

use std::process::ExitCode;

use anyhow::Result;
use relay_vm::workspace;

use crate::layers;

/// Check imports against the table in ARCHITECTURE.md
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// # Errors
/// The sources cannot be read.
pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let violations = layers::check(&workspace::root())?;
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("layers: every import is in the table");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
