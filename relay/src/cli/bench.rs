use std::{
    fs::File,
    io::{BufWriter, Write as _},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use clap::{Args, value_parser};

use super::{Place, output, progress::Progress};
use crate::{
    bench::{Wanted, render_bench_into, render_chart_into},
    engine::{self, ErrorContext as _, Result},
};

/// The largest payload of a datagram over IPv4 through a WireGuard interface with relay's default MTU.
const PAYLOAD_MAX: i64 = 1392;
const PAIRS_MAX: i64 = 32;
const TIMES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

/// `relay bench`.
#[derive(Debug, Args)]
#[command(
    long_about = "Measure what this host can relay, in network namespaces of its own.\n\nMakes \
                  peers and relays in network namespaces of this process, with kernel WireGuard, and \
                  sends TCP, UDP and single datagrams between them: with fast_path on, with it off, \
                  and without a relay, by plain forwarding with nftables and connection tracking. \
                  Interfaces, files and pins of the host are not touched, and everything is gone when \
                  the command ends, however it ends. Sending and receiving take processor time of \
                  this host, too, so compare the ways with each other.",
    after_help = "Exit codes: 1 if a relay is up on this host and --beside is not given, 3 if the host \
                  lacks something.\n\nExamples:\n  \
                  relay bench                 one pair of peers, then four\n  \
                  relay bench --pairs 8 --sizes 64 --time 10s\n  \
                  relay bench --json --svg host.svg > host.json"
)]
pub(super) struct Bench {
    /// Numbers of pairs of peers that talk at the same time, 1 to 32, separated by commas.
    #[arg(
        long,
        value_name = "COUNTS",
        value_delimiter = ',',
        default_value = "1,4",
        value_parser = value_parser!(u16).range(1..=PAIRS_MAX)
    )]
    pairs: Vec<u16>,
    /// Payloads of UDP datagrams, 1 to 1392 bytes, separated by commas.
    #[arg(
        long,
        value_name = "BYTES",
        value_delimiter = ',',
        default_value = "64,512,1384",
        value_parser = value_parser!(u16).range(1..=PAYLOAD_MAX)
    )]
    sizes: Vec<u16>,
    /// How long each run is measured, 100ms to 60s.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    time: Duration,
    /// How often each run is made, 1 to 20; the median is shown.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "3",
        value_parser = value_parser!(u16).range(1..=20)
    )]
    rounds: u16,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Also draw a chart into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure even if a relay is up on this host; both are slower meanwhile.
    #[arg(long)]
    beside: bool,
}

impl Bench {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        if !self.beside {
            engine::block_on(engine::require_no_relay(place.bpffs))?;
        }
        let wanted = self.wanted();
        let about = Duration::from_secs(wanted.estimate().as_secs().max(1));
        // What was measured for minutes is not lost for a name.
        let chart = match &self.svg {
            None => None,
            Some(path) => {
                let failed = || format!("cannot create {}", path.display());
                Some((path, File::create(path).with_context(failed)?))
            }
        };
        let bench = engine::Bench::make(wanted)?;
        output::say(format_args!("this takes about {}", humantime::format_duration(about)));
        let mut progress = Progress::new();
        let report = bench.measure(|number, all, run| {
            progress.say(format_args!("{number} of {all}: {run}"));
        })?;
        progress.clear();
        if let Some((path, file)) = chart {
            let failed = || format!("cannot write {}", path.display());
            let mut file = BufWriter::new(file);
            render_chart_into(&mut file, &report).with_context(failed)?;
            file.flush().with_context(failed)?;
        }
        let mut out = output::stdout();
        match self.json {
            true => output::json(&mut out, &report)?,
            false => render_bench_into(&mut out, &report)?,
        }
        Ok(out.flush()?)
    }

    /// Each number once, in ascending order.
    fn wanted(&self) -> Wanted {
        let once = |numbers: &[u16]| {
            let mut numbers = numbers.to_vec();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        Wanted {
            pairs: once(&self.pairs),
            sizes: once(&self.sizes),
            time: self.time,
            rounds: self.rounds,
        }
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match TIMES.contains(&time) {
        true => Ok(time),
        false => Err("expected 100ms to 60s".to_owned()),
    }
}
