use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio::time::sleep;

use super::{Place, output, subject::Which};
use crate::engine::{self, EventReader, Result, Sight};

/// Between two reads.
const BETWEEN_READS: Duration = Duration::from_secs(1);

/// `relay events`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints what happens until Ctrl-C; `relay observe` has the dropped packets of \
                  the past.\n\nExamples:\n  \
    relay events                one line per event\n  \
    relay events --output json | jq 'select(.type == \"peer_roamed\")'"
)]
pub(super) struct Events {
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Follow; events are always followed.
    #[arg(short, long, hide = true)]
    follow: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per event.
    Text,
    /// One JSON object per line.
    Json,
}

impl Events {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let mut sight = Sight::new(place.source("events", &self.which));
            // What is wrong now is an error; what breaks later is an event.
            output::warn(sight.context().await?.subject().doubt().as_slice());
            let mut reader = EventReader::default();
            let mut out = io::stdout().lock();
            let end = tokio::signal::ctrl_c();
            tokio::pin!(end);
            loop {
                let look = sight.look().await;
                for event in sight.events(&mut reader, &look).await {
                    match self.output {
                        Format::Json => {
                            serde_json::to_writer(&mut out, &event)?;
                            writeln!(out)?;
                        }
                        Format::Text => writeln!(out, "{event}")?,
                    }
                }
                out.flush()?;
                tokio::select! {
                    ended = &mut end => return Ok(ended?),
                    () = sleep(BETWEEN_READS) => {}
                }
            }
        })
    }
}
