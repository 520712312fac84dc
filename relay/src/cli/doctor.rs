use std::{io::Write as _, path::Path};

use anyhow::Result;
use clap::Args;

use super::{exit::Unfit, facts, output};
use crate::doctor::{Level, Report, render_report_into};

/// `relay doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 3 if the host lacks something, 2 if the configuration is wrong.\n\n\
                  Examples:\n  relay doctor                before the first `relay up`, and when \
                  something is odd\n  relay doctor --json         the same for machines"
)]
pub(super) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let report = Report::of(&facts::observe(config, bpffs)?);
        let mut out = output::stdout();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &report)?;
            writeln!(out)?;
        } else {
            render_report_into(&mut out, &report, output::color())?;
        }
        out.flush()?;
        match report.count(Level::Problem) {
            0 => Ok(()),
            problems => Err(Unfit { problems, of_config: report.is_host_fit() }.into()),
        }
    }
}
