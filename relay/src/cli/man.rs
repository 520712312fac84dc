use std::{fs, io::Write as _, path::PathBuf};

use clap::Args;
use clap_mangen::Man as Page;

use super::{command, output};
use crate::engine::{ErrorContext as _, Result};

/// `relay man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay man | man -l -\n  \
    relay man --output /usr/share/man/man1")]
pub(super) struct Man {
    /// Write one page per verb into this directory instead of printing relay's own.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self) -> Result<()> {
        let Some(directory) = &self.output else {
            Page::new(command()).render(&mut output::stdout())?;
            return Ok(());
        };
        let shown = directory.display();
        fs::create_dir_all(directory).with_context(|| format!("cannot create {shown}"))?;
        clap_mangen::generate_to(command(), directory)
            .with_context(|| format!("cannot write the pages to {shown}"))?;
        writeln!(output::stdout(), "{shown}: relay.1 and one page per verb")?;
        Ok(())
    }
}
