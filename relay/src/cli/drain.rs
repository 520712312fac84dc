use std::{io::Write as _, time::Duration};

use clap::Args;

use super::{Place, output, progress::Progress};
use crate::{
    config::Options,
    engine::{self, Context, Result},
};

/// `relay drain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Before work on this host: it writes 1 to /run/relay/INTERFACE.drain, which keepalived \
                  tracks, so that another host gets the address that peers call and takes them \
                  over, and waits until no peer is at home here. --undo writes 0.\n\nExit codes: 1 if \
                  peers are left after the time.\n\nExamples:\n  \
                  relay drain                  hand all peers over\n  \
                  relay drain --timeout 2m     wait longer\n  \
                  relay drain --undo           the work is done"
)]
pub(super) struct Drain {
    /// How long to wait.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Let this relay have peers again.
    #[arg(long, conflicts_with = "timeout")]
    undo: bool,
}

impl Drain {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let mut context = Context::change(place.site("drain"), Options { allow_empty: true })?;
            let mut out = output::stdout();
            if self.undo {
                engine::undrain(&context)?;
                return Ok(writeln!(out, "this relay may have peers again")?);
            }
            let mut shown = Progress::new();
            engine::drain(&mut context, self.timeout, |peers| {
                shown.say(format_args!("{peers} peers are at home here"));
            })
            .await?;
            shown.clear();
            Ok(writeln!(out, "no peer is at home here")?)
        })
    }
}
