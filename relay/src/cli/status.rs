use std::{io::Write as _, time::SystemTime};

use clap::Args;

use super::{Place, exit::NotAsConfigured, output, subject::Which};
use crate::{
    engine::{self, Context, Extent, Result},
    stats::{Style, render_status_into},
};

/// `relay status`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: with --check, 1 if there is a problem.\n\nExamples:\n  \
    relay status                one screen\n  \
    relay status --check        for health probes; prints nothing if all is well\n  \
    relay status --json         the same as JSON")]
pub(super) struct Status {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print nothing if the relay matches its configuration; otherwise print a line for each problem
    /// and exit with 1.
    #[arg(long)]
    check: bool,
    /// Look at this relay alone, not at the others of its site.
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    which: Which,
}

impl Status {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let now = SystemTime::now();
        let extent = if self.local { Extent::Relay } else { Extent::Site };
        let interface = self.which.interface.as_ref();
        let status = engine::block_on(async {
            let context = Context::look(place.site("status"), interface).await?;
            engine::status(&context, now, extent).await
        })?;
        let mut out = output::stdout();
        if self.json {
            output::json(&mut out, &status)?;
        } else if !self.check {
            render_status_into(&mut out, &status, Style { color: output::color(), now })?;
        }
        out.flush()?;
        match self.check && !status.ok {
            true => Err(NotAsConfigured(status.problems).into()),
            false => Ok(()),
        }
    }
}
