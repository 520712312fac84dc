use clap::Args;

use super::{Place, change::Change};
use crate::{
    cli::output,
    config::{Options, parse_peer_name},
    engine::Result,
    model::PeerName,
};

/// `relay peer remove`.
#[derive(Debug, Args)]
#[command(after_help = "Comments next to the peer's table are removed with it, and so is a \
    fragment that becomes empty. Groups and rules lose the peer; where one is about it alone, nothing \
    is changed.\n\nExamples:\n  \
    relay peer remove node-c --dry-run   show what would be removed\n  \
    relay peer remove node-c --apply     remove it and apply")]
pub(super) struct Remove {
    /// Name of the peer.
    #[arg(value_parser = parse_peer_name)]
    name: PeerName,
    /// Allow an empty peer list.
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    change: Change,
}

impl Remove {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let open = self.change.open(place)?;
        let edit = open.draft.remove(&self.name)?;
        open.check(&edit, Options { allow_empty: self.allow_empty })?;
        let peer = open.loaded.relay.peers.iter().find(|peer| peer.name == self.name);
        if let Some(file) = peer.and_then(|peer| peer.preshared_key_file.as_ref()) {
            output::say(format_args!("its preshared key stays in {}", file.display()));
        }
        let done = format!("removed {}", self.name);
        self.change.carry_out(place, open, &edit, &done, None)
    }
}
