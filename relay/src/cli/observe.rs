use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Args, ValueEnum};
use relay_common::Reason;
use serde_json::json;

use super::{Place, output, subject::Which};
use crate::engine::{self, Context, Dropped, DroppedReader, Filter, Result};

/// Between two reads with --follow.
const BETWEEN_READS: Duration = Duration::from_millis(50);

/// Packets that are shown by default.
const LAST: u64 = 20;

/// `relay observe`.
#[derive(Debug, Args)]
#[command(after_help = "The relay always keeps the last 4096 dropped packets.\n\nExamples:\n  \
    relay observe                      the last 20 dropped packets\n  \
    relay observe -f                   new ones, until Ctrl-C\n  \
    relay observe --since 5m --from node-b\n  \
    relay observe --since 1h --by-rule which rules they came near to\n  \
    relay observe -f -o json --reason host_access")]
pub(super) struct Observe {
    /// Keep printing new packets until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Start with the last N packets [default: 20; with --follow 0; with --by-rule all].
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Only packets no older than TIME: 90s, 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Only packets from this peer or address.
    #[arg(long, value_name = "PEER")]
    from: Option<String>,
    /// Only packets to this peer or address.
    #[arg(long, value_name = "PEER")]
    to: Option<String>,
    /// Only packets dropped for this reason; may be repeated.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<Reason>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Instead of the packets, count them by the rule that comes nearest to letting them pass.
    #[arg(long, conflicts_with = "follow")]
    by_rule: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per packet.
    Text,
    /// One JSON object per line.
    Json,
}

impl Observe {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let interface = self.which.interface.as_ref();
            let context = Context::look(place.site("observe"), interface).await?;
            output::warn(context.subject().doubt().as_slice());
            let filter = Filter {
                from: self.from.clone(),
                to: self.to.clone(),
                reasons: self.reason.clone(),
                since: self.since,
            };
            let everything = (self.since.is_some() || self.by_rule).then_some(u64::MAX);
            let last = self.last.or(everything).unwrap_or(if self.follow { 0 } else { LAST });
            let (mut reader, dropped) = DroppedReader::open(&context, filter, last)?;
            let mut out = io::stdout().lock();
            if self.by_rule {
                return self.count(&mut out, &dropped);
            }
            self.print(&mut out, &dropped)?;
            if self.follow { self.follow(&mut out, &mut reader).await } else { Ok(()) }
        })
    }

    async fn follow(&self, out: &mut impl Write, reader: &mut DroppedReader<'_>) -> Result<()> {
        let end = tokio::signal::ctrl_c();
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return Ok(ended?),
                () = tokio::time::sleep(BETWEEN_READS) => {}
            }
            let batch = reader.read()?;
            if batch.lost > 0 {
                let lost = batch.lost;
                output::say(format_args!(
                    "{lost} dropped packets were overwritten before they were read"
                ));
            }
            self.print(out, &batch.dropped)?;
        }
    }

    fn count(&self, out: &mut impl Write, dropped: &[Dropped]) -> Result<()> {
        for (rule, packets) in engine::by_rule(dropped) {
            match self.output {
                Format::Json => {
                    serde_json::to_writer(&mut *out, &json!({ "rule": rule, "packets": packets }))?;
                    writeln!(out)?;
                }
                Format::Text => {
                    let rule = rule.as_deref().unwrap_or("(no rule is near)");
                    writeln!(out, "{packets:>8}  {rule}")?;
                }
            }
        }
        Ok(out.flush()?)
    }

    fn print(&self, out: &mut impl Write, dropped: &[Dropped]) -> Result<()> {
        for dropped in dropped {
            match self.output {
                Format::Json => {
                    serde_json::to_writer(&mut *out, dropped)?;
                    writeln!(out)?;
                }
                Format::Text => writeln!(out, "{dropped}")?,
            }
        }
        Ok(out.flush()?)
    }
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::from_label(text).ok_or_else(|| {
        let labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        format!("expected one of {}", labels.join(", "))
    })
}
