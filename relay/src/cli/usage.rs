use std::io::{BufWriter, Write as _};

use clap::Args;

use super::{Place, output, subject::Which};
use crate::{
    engine::{self, Period, Result, Subject},
    stats::{UsageColumns, render_usage_csv_into, render_usage_into},
};

/// `relay usage`.
#[derive(Debug, Args)]
#[command(
    after_help = "The counts are those of the history that `relay serve` records; the relay need not be \
                  up. Months and days begin at midnight in the host's time zone.\n\nExamples:\n  \
    relay usage                        this month, most bytes first\n  \
    relay usage --month 2026-11 --csv > usage.csv\n  \
    relay usage --day 2026-11-26 ann   one peer on one day\n  \
    relay usage --pairs                who with whom, with `pair_stats = true`"
)]
pub(super) struct Usage {
    /// Only this peer.
    #[arg(value_name = "PEER")]
    peer: Option<String>,
    /// Show this month, such as 2026-11; this one by default.
    #[arg(long, value_name = "MONTH", value_parser = Period::month)]
    month: Option<Period>,
    /// Show this day, such as 2026-11-26.
    #[arg(long, value_name = "DAY", value_parser = Period::day, conflicts_with = "month")]
    day: Option<Period>,
    /// Show pairs of peers.
    #[arg(long)]
    pairs: bool,
    /// Show rules.
    #[arg(long, conflicts_with_all = ["pairs", "peer"])]
    rules: bool,
    /// Print comma-separated values with a head.
    #[arg(long)]
    csv: bool,
    /// Print one JSON object with peers, pairs and rules.
    #[arg(long, conflicts_with_all = ["csv", "pairs", "rules"])]
    json: bool,
    #[command(flatten)]
    which: Which,
}

impl Usage {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let subject = Subject::find(place.config, self.which.interface.as_ref()).await?;
            output::warn(subject.doubt().as_slice());
            let period = match self.day.as_ref().or(self.month.as_ref()) {
                Some(period) => period,
                None => &Period::this_month()?,
            };
            let site = place.site("usage");
            let usage = engine::usage(site, &subject, period, self.peer.as_deref())?;
            let rows = match (self.pairs, self.rules) {
                (true, _) => UsageColumns::Pairs,
                (_, true) => UsageColumns::Rules,
                (false, false) => UsageColumns::Peers,
            };
            let mut out = BufWriter::new(output::stdout());
            if self.json {
                output::json(&mut out, &usage)?;
            } else if self.csv {
                render_usage_csv_into(&mut out, &usage, rows)?;
            } else {
                render_usage_into(&mut out, &usage, rows)?;
            }
            Ok(out.flush()?)
        })
    }
}
