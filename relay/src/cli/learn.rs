use std::io::{BufWriter, Write as _};

use clap::{Args, Subcommand};

use super::{Place, output, subject::Which};
use crate::{
    engine::{self, Context, Result},
    stats::render_learning_into,
};

/// `relay learn`.
#[derive(Debug, Args)]
#[command(
    after_help = "While it is on, each packet between two peers is counted by who began, with whom \
                  and for which service. `relay suggest` makes rules of that, and `relay unused` \
                  lists what nobody used. `up` and `reload` go on learning; `down` ends it and \
                  forgets. Memory is bounded.\n\nExamples:\n  \
                  relay learn on              count from now on\n  \
                  relay learn status          since when, and how much\n  \
                  relay learn off             stop; what was learnt is kept"
)]
pub(super) struct Learn {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Begin to learn, or go on.
    On {
        /// Forget what was learnt before.
        #[arg(long)]
        fresh: bool,
    },
    /// Stop learning; what was learnt is kept.
    Off,
    /// Show since when, and how much was learnt.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        which: Which,
    },
}

impl Learn {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let site = place.site("learn");
        engine::block_on(async {
            match &self.verb {
                Verb::On { fresh } => {
                    if !engine::start_learning(site, *fresh).await? {
                        output::say("learning is on already");
                    }
                    Ok(())
                }
                Verb::Off => {
                    if !engine::stop_learning(site).await? {
                        output::say("learning is off already");
                    }
                    Ok(())
                }
                Verb::Status { json, which } => {
                    let context = Context::look(site, which.interface.as_ref()).await?;
                    output::warn(context.subject().doubt().as_slice());
                    let report = engine::learning(&context).await?;
                    let mut out = BufWriter::new(output::stdout());
                    if *json {
                        output::json(&mut out, &report)?;
                    } else {
                        render_learning_into(&mut out, &report)?;
                    }
                    Ok(out.flush()?)
                }
            }
        })
    }
}
