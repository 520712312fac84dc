//! `cargo xtask setup`

use std::process::ExitCode;

use relay_vm::Architecture;

use crate::setup::{self, Part};

/// Install what building and testing need (Debian or Ubuntu)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only print what is missing
    #[arg(long)]
    check: bool,
    /// Include what releases and the fleet tier need
    #[arg(long)]
    fleet: bool,
}

/// Fails if something is still missing.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut parts = Part::ALL.to_vec();
    if arguments.fleet {
        parts.extend([Part::Target(Architecture::Amd64), Part::Dist, Part::Fleet]);
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
        println!("setup: complete");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
