use std::{
    io::{BufWriter, Write as _},
    time::Duration,
};

use clap::Args;

use super::{Place, output};
use crate::{
    engine::{self, Context, Result},
    stats::render_suggested_into,
};

/// `relay suggest`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a fragment: the rules, groups and tests for what `relay learn` has counted \
                  and lists alone let pass, and nothing else between peers. Comments above them say \
                  what is lost once lists open nothing between peers. Put it into relay.d, take \
                  peers out of allowed_ips, and `relay try` that. Its tests fail while lists are \
                  still open.\n\nExamples:\n  \
                  relay suggest                    everything that was learnt\n  \
                  relay suggest --since 7d --min-packets 10 > relay.d/learnt.toml\n  \
                  relay suggest --json"
)]
pub(super) struct Suggest {
    /// Leave out what was used with fewer packets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_packets: u64,
    /// Leave out what was not used for this time, such as 7d.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Suggest {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let context = Context::look(place.site("suggest"), None).await?;
            let suggested = engine::suggest(&context, self.min_packets, self.since).await?;
            let mut out = BufWriter::new(output::stdout());
            if self.json {
                output::json(&mut out, &suggested)?;
            } else {
                render_suggested_into(&mut out, &suggested)?;
            }
            Ok(out.flush()?)
        })
    }
}
