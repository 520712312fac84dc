use anyhow::Result;
use clap::Args;

use super::{
    Site,
    change::{Change, Open},
};
use crate::{
    cli::output,
    config::{Options, parse_peer_name},
    model::PeerName,
};

/// `relay peer remove`.
#[derive(Debug, Args)]
#[command(after_help = "Comments that touch the peer's table go with it. A fragment in which \
    nothing is left goes too.\n\nExamples:\n  \
    relay peer remove node-c --dry-run   what would go?\n  \
    relay peer remove node-c --apply     out of the files, and off the relay")]
pub(super) struct Remove {
    /// Its name.
    #[arg(value_parser = parse_peer_name)]
    name: PeerName,
    /// Accept that no peer is left.
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    change: Change,
}

impl Remove {
    pub(super) fn run(&self, site: Site<'_>) -> Result<()> {
        self.change.require_host()?;
        let open = Open::new(site)?;
        let edit = open.draft.remove(&self.name)?;
        open.check(&edit, Options { allow_empty: self.allow_empty })?;
        let peer = open.loaded.relay.peers.iter().find(|peer| peer.name == self.name);
        if let Some(file) = peer.and_then(|peer| peer.preshared_key_file.as_ref()) {
            output::say(format_args!("its preshared key is left in {}", file.display()));
        }
        let done = format!("removed {}", self.name);
        self.change.carry_out(site, open, &edit, &done, None)
    }
}
