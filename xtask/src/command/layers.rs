//! `cargo xtask layers`: who imports whom.

use std::process::ExitCode;

use anyhow::Result;

use crate::{layers, workspace};

/// Check the modules' imports against ARCHITECTURE.md's table
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Prints every import that the table does not allow.
///
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
