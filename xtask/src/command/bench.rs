//! `cargo xtask bench`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use relay_bench::{Document, Plan, Subject};
use relay_vm::Architecture;
use relay_vm::progress::{Step, say};

use crate::build::Build;
use crate::setup::{self, Part};

/// Measure what a relayed packet costs, compared with other ways to filter
///
/// Instructions are counted in a virtual machine and are exact. Nanoseconds, times and memory are
/// those of this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure only this (repeatable)
    #[arg(long, value_name = "WHAT")]
    only: Vec<Subject>,
    /// Fewer sizes, one kernel, fewer rounds
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show changes since the figures in a file
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Show the figures in a file, without measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "quick"])]
    from: Option<PathBuf>,
    /// Write the figures and the chart into docs/
    #[arg(long)]
    docs: bool,
}

/// # Errors
/// A part of the setup could not be installed, a build or a measurement failed, or a file could not
/// be read or written.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let document = match &arguments.from {
        Some(file) => Document::read(file)?,
        None => measure(arguments)?,
    };
    // First of all, keep what was measured.
    if let Some(file) = &arguments.json {
        document.write(file)?;
        say(&format!("bench: wrote {}", file.display()));
    }
    print!("{}", relay_bench::render(&document));
    if let Some(file) = &arguments.compare {
        print!("{}", relay_bench::render_changes(&Document::read(file)?, &document));
    }
    if arguments.docs {
        for file in relay_bench::write_docs(&document)? {
            say(&format!("bench: wrote {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(arguments: &Arguments) -> Result<Document> {
    let parts = [Part::Ebpf, Part::Lab(Architecture::Amd64), Part::Bench];
    if let Some(piece) = setup::ensure(&parts).first() {
        bail!("{piece}");
    }
    let step = Step::start("bench: building with optimisations");
    let packages = ["--release", "--package", "relay", "--package", "relay-bench"];
    let build = Build::with(&[&packages[..], &["--bin", "relay", "--bin", "bench"]].concat())?;
    step.finish("done");
    relay_bench::run(&Plan {
        subjects: if arguments.only.is_empty() { &Subject::ALL } else { &arguments.only },
        quick: arguments.quick,
        bench: build.binary("bench")?,
        relay: build.binary("relay")?,
    })
}
