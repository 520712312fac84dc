//! `cargo xtask bench`: what a relayed packet costs, beside everybody else's way.

mod chart;
mod document;
mod goals;
mod guide;
mod runs;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use self::document::Document;
use self::runs::Plan;
use crate::progress::say;
use crate::setup::{self, Part};

/// Measure what a relayed packet costs, beside other ways of filtering
///
/// Instructions are counted in a virtual machine and are exact; nanoseconds, times and memory are
/// this machine's.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure only this (may be given more than once)
    #[arg(long, value_name = "WHAT")]
    only: Vec<Subject>,
    /// Fewer sizes, one kernel, fewer runs
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Tell what changed since the figures in a file
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Measure nothing: show the figures in a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "quick"])]
    from: Option<PathBuf>,
    /// Put the figures and the chart into docs/
    #[arg(long)]
    docs: bool,
}

/// One of the things measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Guest instructions a packet.
    Instructions,
    /// Nanoseconds a packet on this machine.
    Native,
    /// Time and memory that a policy takes.
    Memory,
    /// What commands of a running relay cost.
    Commands,
}

impl Subject {
    const ALL: [Self; 4] = [Self::Instructions, Self::Native, Self::Memory, Self::Commands];
}

/// Sets up, measures, shows.
///
/// # Errors
/// Something needed could not be installed or built, a measurement failed, or a file could not be
/// read or written.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let document = match &arguments.from {
        Some(file) => Document::read(file)?,
        None => {
            if let Some(piece) = setup::ensure(&[Part::Ebpf, Part::Lab, Part::Bench]).first() {
                bail!("the measurement needs what could not be installed: {piece}");
            }
            let subjects =
                if arguments.only.is_empty() { &Subject::ALL[..] } else { &arguments.only };
            runs::measure(&Plan { subjects, quick: arguments.quick })?
        }
    };
    // What was measured is kept, whatever happens to the rest.
    if let Some(file) = &arguments.json {
        document.write(file)?;
        say(&format!("bench: wrote {}", file.display()));
    }
    print!("{}", table::render(&document));
    if let Some(file) = &arguments.compare {
        print!("{}", table::render_changes(&Document::read(file)?, &document));
    }
    if arguments.docs {
        for file in guide::write(&document)? {
            say(&format!("bench: wrote {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}
