use std::{
    io::{BufWriter, Write as _},
    time::SystemTime,
};

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::{Place, output, subject::Which};
use crate::{
    engine::{self, Context, Result},
    stats::render_mesh_into,
};

/// `relay mesh`.
#[derive(Debug, Args)]
#[command(
    after_help = "Several relays with one configuration serve the same peers: [mesh] names them. The \
                  agent tells the others who is at home here, and where; packets pass without it, as \
                  it was known last.\n\nExamples:\n  \
                  relay mesh status           the relays of the site, and what is wrong\n  \
                  relay mesh status --json    the same as JSON\n  \
                  relay mesh agent            by hand, until Ctrl-C; relay-mesh.service runs it"
)]
pub(super) struct Mesh {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the relays of the site, their policies and homes, and how they are reached.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Tell the other relays who is at home here, and hear of theirs, until stopped.
    Agent,
}

impl Mesh {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        match &self.verb {
            Verb::Status { json, which } => {
                let site = place.site("mesh status");
                engine::block_on(async {
                    let context = Context::look(site, which.interface.as_ref()).await?;
                    let status = engine::mesh_status(&context, SystemTime::now()).await?;
                    let mut out = BufWriter::new(output::stdout());
                    if *json {
                        output::json(&mut out, &status)?;
                    } else {
                        render_mesh_into(&mut out, &status)?;
                    }
                    Ok(out.flush()?)
                })
            }
            Verb::Agent => engine::block_on(async {
                let mut terminate = signal(SignalKind::terminate())?;
                let mut hangup = signal(SignalKind::hangup())?;
                let agent = engine::mesh_agent(place.site("mesh agent"), |line| output::say(line));
                tokio::select! {
                    outcome = agent => outcome,
                    ended = tokio::signal::ctrl_c() => Ok(ended?),
                    _ = terminate.recv() => Ok(()),
                    _ = hangup.recv() => Ok(()),
                }
            }),
        }
    }
}
