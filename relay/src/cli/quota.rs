use std::io::{BufWriter, Write as _};

use clap::Args;

use super::{Place, output, subject::Which};
use crate::{
    config::{Options, parse_peer_name},
    engine::{self, Context, Result},
    model::PeerName,
    stats::render_quotas_into,
};

/// `relay quota`.
#[derive(Debug, Args)]
#[command(
    after_help = "What was used outlives reloads. --save writes it to the directory of --state, from where \
                  `relay up` takes it after `relay down` or a reboot; `relay down` saves it, \
                  too.\n\nExamples:\n  \
    relay quota                   what each peer with a quota has used of it\n  \
    relay quota guest             the same of one peer\n  \
    relay quota --reset guest     reset its quotas now\n  \
    relay quota --json"
)]
pub(super) struct Quota {
    /// Only quotas of this peer.
    #[arg(value_name = "PEER", value_parser = parse_peer_name)]
    peer: Option<PeerName>,
    /// Reset the quotas of this peer now.
    #[arg(long, value_name = "PEER", value_parser = parse_peer_name, conflicts_with_all = ["peer", "json", "save"])]
    reset: Option<PeerName>,
    /// Save what is used.
    #[arg(long, conflicts_with_all = ["peer", "json"])]
    save: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

impl Quota {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let site = place.site("quota");
        engine::block_on(async {
            if let Some(peer) = &self.reset {
                let context = Context::change(site, Options { allow_empty: true })?;
                engine::reset_quotas(&context, peer)?;
                return Ok(writeln!(output::stdout(), "quotas of {peer} are reset")?);
            }
            let interface = self.which.interface.as_ref();
            if self.save {
                let count = engine::save_quotas(&Context::hold(site, interface).await?)?;
                let what = if count == 1 { "1 peer" } else { &format!("{count} peers") };
                return Ok(writeln!(output::stdout(), "saved what {what} used")?);
            }
            let context = Context::look(site, interface).await?;
            output::warn(context.subject().doubt().as_slice());
            let mut out = BufWriter::new(output::stdout());
            let quotas = engine::quotas(&context, self.peer.as_ref())?;
            if self.json {
                output::json(&mut out, &quotas)?;
            } else {
                render_quotas_into(&mut out, &quotas)?;
            }
            Ok(out.flush()?)
        })
    }
}
