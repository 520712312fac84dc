use std::io::Write as _;

use clap::Args;

use super::{Place, output, progress::Progress};
use crate::{
    config::{Options, parse_relay_name},
    engine::{self, Context, Result, TakenOver},
    model::RelayName,
};

/// `relay takeover`.
#[derive(Debug, Args)]
#[command(
    after_help = "For the moment in which the address that peers call becomes this host's: keepalived \
                  runs it when it makes this host the master. It calls the peers where the other \
                  relays saw them last, those with the latest handshakes first, and works without \
                  the agent. A peer that no relay knows how to reach has to call.\n\nExamples:\n  \
                  relay takeover               all peers of other relays\n  \
                  relay takeover --from fra1   those of one relay"
)]
pub(super) struct Takeover {
    /// Only peers that are at home at this relay.
    #[arg(long, value_name = "RELAY", value_parser = parse_relay_name)]
    from: Option<RelayName>,
}

impl Takeover {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        engine::block_on(async {
            let context = Context::change(place.site("takeover"), Options { allow_empty: true })?;
            let mut shown = Progress::new();
            let TakenOver { called, silent } =
                engine::takeover(&context, self.from.as_ref(), |done, all| {
                    shown.say(format_args!("{done} of {all} peers are taken over"));
                })
                .await?;
            shown.clear();
            let mut out = output::stdout();
            let peers =
                |count| if count == 1 { "1 peer".to_owned() } else { format!("{count} peers") };
            match (called, silent) {
                (0, 0) => writeln!(out, "no peer is at home at another relay")?,
                (called, 0) => writeln!(out, "took over {}", peers(called))?,
                (called, silent) => writeln!(
                    out,
                    "took over {}; {} have to call, since nobody knew where to reach them",
                    peers(called + silent),
                    peers(silent)
                )?,
            }
            Ok(())
        })
    }
}
