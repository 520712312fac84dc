use std::{
    io::{BufWriter, Write as _},
    time::Duration,
};

use clap::Args;

use super::{Place, output};
use crate::{
    engine::{self, Context, Result},
    stats::render_unused_into,
};

/// `relay unused`.
#[derive(Debug, Args)]
#[command(
    after_help = "Of rules it is always known when they were used last, since the host started. Of \
                  lists it is known while `relay learn` is on, by pairs of peers: whichever side \
                  began, and not by which of a peer's addresses.\n\nExamples:\n  \
                  relay unused                 nobody used these for 30 days\n  \
                  relay unused --since 12h\n  \
                  relay unused --json"
)]
pub(super) struct Unused {
    /// For how long nobody used it, such as 30d or 12h.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    #[arg(value_parser = humantime::parse_duration)]
    since: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Unused {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let context = Context::look(place.site("unused"), None).await?;
            let report = engine::unused(&context, self.since).await?;
            output::warn(&report.doubts());
            let mut out = BufWriter::new(output::stdout());
            if self.json {
                output::json(&mut out, &report)?;
            } else {
                render_unused_into(&mut out, &report)?;
            }
            Ok(out.flush()?)
        })
    }
}
