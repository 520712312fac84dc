use std::{
    io::{self, BufWriter, IsTerminal as _, Write as _},
    time::{Duration, SystemTime},
};

use clap::{Args, ValueEnum, builder::PossibleValue};
use serde::Serialize;

use super::{Place, exit::UsageError, live, output, subject::Which};
use crate::{
    engine::{self, Context, Result, Subject},
    stats::{
        Column, Exposition, MOST_PAIRS, Scrape, ScrapeStyle, Since, Snapshot, Style, Watch,
        render_dump_into, render_pairs_into, render_pairs_prometheus_into, render_prometheus_into,
        render_rules_into, render_rules_prometheus_into, render_scrape_into, render_since_into,
        render_text_into,
    },
};

/// `relay stats`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay stats                 traffic and dropped packets of each peer\n  \
    relay stats --watch --sort rx --filter node\n                              \
    a live table, the busiest first\n  \
    relay stats --pairs         traffic between peers, with `pair_stats = true`\n  \
    relay stats --since 24h     what was counted in the last day\n  \
    relay stats --prometheus > /var/lib/prometheus/node-exporter/relay.prom\n  \
    relay stats --openmetrics --all\n                              \
    all metrics: rules, pairs, flows and limits too")]
pub(super) struct Stats {
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    live: Live,
    /// Show the traffic of each pair of peers; needs `pair_stats = true`.
    #[arg(long, conflicts_with_all = ["dump", "watch"])]
    pairs: bool,
    /// Show what each rule has let through, and how many flows began by it.
    #[arg(long, conflicts_with_all = ["dump", "watch", "pairs"])]
    rules: bool,
    /// Show what was counted in the last TIME, such as 24h or 7d, from the history that `relay serve`
    /// records. The relay need not be up.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    #[arg(conflicts_with_all = ["dump", "prometheus", "openmetrics", "watch", "pairs", "rules"])]
    since: Option<Duration>,
    #[command(flatten)]
    metrics: Metrics,
    #[command(flatten)]
    which: Which,
}

/// The format; by default text in the layout of `wg show`.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Form {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print the tab-separated columns of `wg show INTERFACE dump`, then name, packets and bytes
    /// relayed from and to the peer, the same for the relay itself, and dropped packets.
    #[arg(long)]
    dump: bool,
    /// Print metrics in the Prometheus text format, for node_exporter's textfile collector.
    #[arg(long, group = "metrics")]
    prometheus: bool,
    /// Print metrics in the OpenMetrics format.
    #[arg(long, group = "metrics")]
    openmetrics: bool,
    /// Show a live table with the rates of each peer.
    #[arg(long)]
    watch: bool,
}

/// What is among the metrics.
#[derive(Debug, Args)]
#[group(multiple = true)]
struct Metrics {
    /// Print the metrics of peers, rules, pairs, flows and limits together, with --prometheus or
    /// --openmetrics.
    #[arg(long, requires = "metrics", conflicts_with_all = ["pairs", "rules"])]
    all: bool,
    /// Print at most N pairs, those with most bytes, with --all.
    #[arg(long, value_name = "N", default_value_t = MOST_PAIRS, requires = "all")]
    most_pairs: usize,
    /// Print the names of mdlayher's and MindFlavor's exporters for WireGuard too, with --all.
    #[arg(long, requires = "all")]
    compat: bool,
}

/// The initial state of the live table.
#[derive(Debug, Args)]
struct Live {
    /// Update interval of --watch.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1,
        requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    interval: u64,
    /// Sort column of --watch.
    #[arg(long, value_name = "COLUMN", default_value = "config", requires = "watch")]
    sort: Column,
    /// Show only peers whose name, key, endpoint or allowed IPs contain TEXT, with --watch.
    #[arg(long, value_name = "TEXT", requires = "watch")]
    filter: Option<String>,
}

impl Stats {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        if self.form.watch && !io::stdout().is_terminal() {
            return Err(UsageError::NoTerminal.into());
        }
        let interface = self.which.interface.as_ref();
        engine::block_on(async {
            if let Some(age) = self.since {
                let subject = Subject::find(place.config, interface).await?;
                output::warn(subject.doubt().as_slice());
                return self.form.print_since(&engine::since(place.site("stats"), &subject, age)?);
            }
            let context = Context::look(place.site("stats"), interface).await?;
            output::warn(context.subject().doubt().as_slice());
            if self.metrics.all {
                let scrape = engine::scrape(&context, self.metrics.most_pairs).await?;
                return self.form.print_scrape(&scrape, self.metrics.compat);
            }
            if self.pairs {
                let pairs = engine::pairs(&context)?;
                let form = &self.form;
                return form.print_counts(&pairs, render_pairs_into, render_pairs_prometheus_into);
            }
            if self.rules {
                let rules = engine::rules(&context)?;
                let form = &self.form;
                return form.print_counts(&rules, render_rules_into, render_rules_prometheus_into);
            }
            if self.form.watch {
                let Live { interval, sort, filter } = &self.live;
                let watch = Watch::new(*sort, filter.clone().unwrap_or_default(), output::color());
                let every = Duration::from_secs(*interval);
                return live::run(watch, every, async || engine::snapshot(&context).await).await;
            }
            self.form.print(&engine::snapshot(&context).await?)
        })
    }
}

/// Buffered: standard output flushes each line, which is slow for thousands of peers.
type Out = BufWriter<output::Stdout>;

impl Form {
    fn print(&self, snapshot: &Snapshot) -> Result<()> {
        let now = SystemTime::now();
        let mut out = BufWriter::new(output::stdout());
        if self.json {
            output::json(&mut out, snapshot)?;
        } else if self.dump {
            render_dump_into(&mut out, snapshot)?;
        } else if self.prometheus {
            render_prometheus_into(&mut out, snapshot, Exposition::Text, now)?;
        } else if self.openmetrics {
            render_prometheus_into(&mut out, snapshot, Exposition::OpenMetrics, now)?;
        } else {
            render_text_into(&mut out, snapshot, Style { color: output::color(), now })?;
        }
        out.flush()?;
        Ok(())
    }

    fn print_scrape(&self, scrape: &Scrape, compat: bool) -> Result<()> {
        let format = if self.openmetrics { Exposition::OpenMetrics } else { Exposition::Text };
        let style = ScrapeStyle { format, compat, now: SystemTime::now() };
        let mut out = BufWriter::new(output::stdout());
        render_scrape_into(&mut out, scrape, &style)?;
        Ok(out.flush()?)
    }

    fn print_since(&self, since: &Since) -> Result<()> {
        let mut out = BufWriter::new(output::stdout());
        if self.json {
            output::json(&mut out, since)?;
        } else {
            render_since_into(&mut out, since, output::color())?;
        }
        Ok(out.flush()?)
    }

    /// Prints counts that have a text and a metrics form of their own.
    fn print_counts<T: Serialize>(
        &self,
        counts: &T,
        text: fn(&mut Out, &T) -> io::Result<()>,
        metrics: fn(&mut Out, &T, Exposition) -> io::Result<()>,
    ) -> Result<()> {
        let mut out = BufWriter::new(output::stdout());
        if self.json {
            output::json(&mut out, counts)?;
        } else if self.prometheus {
            metrics(&mut out, counts, Exposition::Text)?;
        } else if self.openmetrics {
            metrics(&mut out, counts, Exposition::OpenMetrics)?;
        } else {
            text(&mut out, counts)?;
        }
        Ok(out.flush()?)
    }
}

impl ValueEnum for Column {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.label()))
    }
}
