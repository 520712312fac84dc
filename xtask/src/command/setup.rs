//! `cargo xtask setup`: installs what is missing.

use std::process::ExitCode;

use crate::setup::{self, Part};

/// Install what building and testing need (Debian and Ubuntu)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only say what is missing
    #[arg(long)]
    check: bool,
    /// Also what releases and the fleet need
    #[arg(long)]
    fleet: bool,
}

/// Installs, or reports; the exit code says whether anything is missing.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut parts = Part::ALL.to_vec();
    if arguments.fleet {
        parts.extend([Part::Dist, Part::Fleet]);
    }
    let left = if arguments.check {
        let missing = setup::missing(&parts);
        for piece in &missing {
            println!("setup: {piece}");
        }
        missing
    } else {
        setup::ensure(&parts)
    };
    if left.is_empty() {
        println!("setup: everything is here");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
