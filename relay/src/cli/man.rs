use std::{fs, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use super::{Cli, output};

/// `relay man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay man | man -l -\n  \
    relay man --output /usr/share/man/man1")]
pub(super) struct Man {
    /// Write a page for each verb into this directory, instead of printing that of relay.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self) -> Result<()> {
        let Some(directory) = &self.output else {
            Page::new(Cli::command()).render(&mut output::stdout())?;
            return Ok(());
        };
        let shown = directory.display();
        fs::create_dir_all(directory).with_context(|| format!("cannot create {shown}"))?;
        clap_mangen::generate_to(Cli::command(), directory)
            .with_context(|| format!("cannot write the pages into {shown}"))?;
        writeln!(output::stdout(), "{shown}: relay.1, and a page for each verb")?;
        Ok(())
    }
}
