use std::{
    io::{BufWriter, Write as _},
    path::PathBuf,
};

use clap::{ArgGroup, Args};

use super::{Place, exit::NotAllowed, output};
use crate::{
    config::Options,
    engine::{self, Context, Result},
    stats::render_trial_into,
};

/// `relay try`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["file", "report", "check", "stop"]),
    override_usage = "relay try FILE\n       relay try --report [--json]\n       relay try --check \
                      [--json]\n       relay try --stop",
    after_help = "FILE decides beside the policy in force about every packet from a peer, and does \
                  nothing. Where it would decide otherwise, that is counted by pair, service and \
                  reason, with the first packet as an example. Each packet costs up to twice as much \
                  until --stop. `up`, `reload` and `trace` end it when they change the policy in \
                  force. WireGuard stays as it is: a peer that only FILE has sends nothing.\n\n\
                  Exit codes of --check: 0 what flows would pass, 1 something would be dropped, or \
                  nothing is tried.\n\nExamples:\n  \
                  relay try new.toml          try it beside the policy in force\n  \
                  relay try --report          what it would make of what has come since\n  \
                  relay try --stop            end that"
)]
pub(super) struct Try {
    /// The main file of the candidate; its fragments are in relay.d beside it.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show what differs so far.
    #[arg(long)]
    report: bool,
    /// Show what differs so far, and fail if the candidate would drop something that passes.
    #[arg(long)]
    check: bool,
    /// End the trial.
    #[arg(long)]
    stop: bool,
    /// Print JSON, with --report or --check.
    #[arg(long, conflicts_with_all = ["file", "stop"])]
    json: bool,
}

impl Try {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let site = place.site("try");
        engine::block_on(async {
            if let Some(file) = &self.file {
                engine::start_trial(site, file).await?;
                output::say(format_args!(
                    "{} is tried; `relay try --report` shows what differs, `relay try --stop` ends it",
                    file.display()
                ));
                return Ok(());
            }
            if self.stop {
                if !engine::stop_trial(site).await? {
                    output::say("nothing is tried");
                }
                return Ok(());
            }
            let context = Context::preview(site, Options { allow_empty: true })?;
            let report = engine::trial_report(&context).await?;
            let mut out = BufWriter::new(output::stdout());
            if self.json {
                output::json(&mut out, &report)?;
            } else {
                render_trial_into(&mut out, &report)?;
            }
            out.flush()?;
            if self.check && report.drops() { Err(NotAllowed.into()) } else { Ok(()) }
        })
    }
}
