use std::io::Write as _;

use clap::Args;

use super::{Place, exit::Unfit, output};
use crate::{
    doctor::{Level, Report, render_report_into},
    engine::{self, Result},
};

/// `relay doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 3 if the host lacks something, 2 if only the configuration is \
                  invalid.\n\nExamples:\n  \
                  relay doctor                before the first `relay up`, and when something fails\n  \
                  relay doctor --json         the same as JSON"
)]
pub(super) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let facts = engine::block_on(engine::facts(place.site("doctor")))?;
        let report = Report::of(&facts);
        let mut out = output::stdout();
        if self.json {
            output::json(&mut out, &report)?;
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
