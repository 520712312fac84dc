use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::Result;
use clap::Args;

use super::{exit::Unfit, facts, output};
use crate::doctor::{Level, Report, render_report_into};

/// `relay doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let report = Report::of(&facts::observe(config, bpffs)?);
        let mut out = io::stdout().lock();
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
