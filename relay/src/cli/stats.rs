use std::{
    collections::BTreeMap,
    io::{self, BufWriter, IsTerminal as _, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use clap::{Args, ValueEnum, builder::PossibleValue};

use super::{
    exit::{HostError, UsageError},
    host, live, output,
    running::Running,
    subject::Which,
};
use crate::{
    datapath::Datapath,
    model::{PublicKey, Relay},
    net,
    stats::{
        Column, Exposition, Observation, Pairs, Snapshot, Style, Watch, render_dump_into,
        render_pairs_into, render_pairs_prometheus_into, render_prometheus_into, render_text_into,
    },
};

/// `relay stats`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relay stats                 who talked, who was refused and why\n  \
                  relay stats --watch --sort rx --filter node\n                              live, \
                  the busiest first\n  relay stats --pairs         who talked to whom, with \
                  `pair_stats = true`\n  relay stats --prometheus > \
                  /var/lib/prometheus/node-exporter/relay.prom"
)]
pub(super) struct Stats {
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    live: Live,
    /// Show what each pair of peers has exchanged; wants `pair_stats = true`.
    #[arg(long, conflicts_with_all = ["dump", "watch"])]
    pairs: bool,
    #[command(flatten)]
    which: Which,
}

/// What it is printed as; text in the layout of `wg show` when nothing is said.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Form {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print the columns of `wg show INTERFACE dump` separated by tabs, and behind them name,
    /// relayed packets and bytes from and to the peer, the same of the relay itself, refused
    /// packets.
    #[arg(long)]
    dump: bool,
    /// Print metrics in Prometheus' text format, as the textfile collector reads them.
    #[arg(long)]
    prometheus: bool,
    /// Print metrics in OpenMetrics.
    #[arg(long)]
    openmetrics: bool,
    /// Show rates of each peer, live, on the whole terminal.
    #[arg(long)]
    watch: bool,
}

/// How the live table begins.
#[derive(Debug, Args)]
struct Live {
    /// Seconds between two looks, with --watch.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1,
        requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    interval: u64,
    /// What to sort by, with --watch.
    #[arg(long, value_name = "COLUMN", default_value = "config", requires = "watch")]
    sort: Column,
    /// Show only peers with this in name, key, endpoint or allowed ips, with --watch.
    #[arg(long, value_name = "TEXT", requires = "watch")]
    filter: Option<String>,
}

impl Stats {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        if self.form.watch && !io::stdout().is_terminal() {
            return Err(UsageError::NoTerminal.into());
        }
        let subject = self.which.find(config)?;
        let relay = subject.relay();
        host::require_capabilities("stats")?;
        subject.warn();
        let interface = relay.interface.as_str();
        let datapath = Datapath::open(bpffs, interface)?;
        if self.pairs {
            return self.show_pairs(relay, &datapath);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        if self.form.watch {
            let Live { interval, sort, filter } = &self.live;
            let watch = Watch::new(*sort, filter.clone().unwrap_or_default(), output::color());
            let every = Duration::from_secs(*interval);
            let look = async || Ok(Snapshot::new(&observe(relay, &datapath).await?));
            return runtime.block_on(live::run(watch, every, look));
        }
        let snapshot = Snapshot::new(&runtime.block_on(observe(relay, &datapath))?);
        self.form.print(&snapshot)
    }
}

impl Form {
    fn print(&self, snapshot: &Snapshot) -> Result<()> {
        let now = SystemTime::now();
        // Standard output writes line by line, which thousands of peers make slow.
        let mut out = BufWriter::new(output::stdout());
        if self.json {
            serde_json::to_writer_pretty(&mut out, snapshot)?;
            writeln!(out)?;
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
}

impl Stats {
    fn show_pairs(&self, relay: &Relay, datapath: &Datapath) -> Result<()> {
        if !relay.pair_stats {
            return Err(UsageError::PairsNotCounted.into());
        }
        if !datapath.exists() {
            return Err(HostError::NotUp { interface: relay.interface.to_string() }.into());
        }
        let keys: BTreeMap<u32, PublicKey> =
            datapath.slots()?.into_iter().map(|(key, slot)| (slot, key)).collect();
        let names: BTreeMap<PublicKey, String> =
            relay.peers.iter().map(|peer| (peer.public_key, peer.name.to_string())).collect();
        // One that the configuration no longer names is shown by its key.
        let name = |slot: u32| match keys.get(&slot) {
            Some(key) => names.get(key).cloned().unwrap_or_else(|| key.to_string()),
            None => "?".to_owned(),
        };
        let traffic = datapath.pairs()?;
        let counted = traffic.pairs.into_iter();
        let named = counted.map(|((from, to), counters)| (name(from), name(to), counters));
        let pairs = Pairs::new(relay.interface.as_str(), named, traffic.others);
        let mut out = BufWriter::new(output::stdout());
        if self.form.json {
            serde_json::to_writer_pretty(&mut out, &pairs)?;
            writeln!(out)?;
        } else if self.form.prometheus {
            render_pairs_prometheus_into(&mut out, &pairs, Exposition::Text)?;
        } else if self.form.openmetrics {
            render_pairs_prometheus_into(&mut out, &pairs, Exposition::OpenMetrics)?;
        } else {
            render_pairs_into(&mut out, &pairs)?;
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

/// What a relay that is up does.
pub(super) async fn observe(relay: &Relay, datapath: &Datapath) -> Result<Observation> {
    let handle = net::connect()?;
    let running = Running::observe(&handle, relay, datapath).await?;
    if running.device.is_none() {
        return Err(HostError::NotUp { interface: relay.interface.to_string() }.into());
    }
    Ok(running.observation(
        relay,
        &datapath.counters()?,
        datapath.guard_counts()?,
        &datapath.guard_attempts()?,
    ))
}
