use clap::Args;

use super::{Place, change::Change};
use crate::{
    config::{Options, parse_peer_name},
    engine::Result,
    model::PeerName,
};

/// `relay peer disable`.
#[derive(Debug, Args)]
#[command(
    after_help = "The peer keeps its name, addresses, key, lists and counters, and no other \
    peer gets its addresses. The file gets `enabled = false`.\n\nExamples:\n  \
    relay peer disable node-c --apply    disconnect it now\n  \
    relay peer enable node-c --apply     let it connect again"
)]
pub(super) struct Disable {
    #[command(flatten)]
    of: Of,
}

/// `relay peer enable`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  relay peer enable node-c --apply     let it connect again")]
pub(super) struct Enable {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
struct Of {
    /// Name of the peer.
    #[arg(value_parser = parse_peer_name)]
    name: PeerName,
    #[command(flatten)]
    change: Change,
}

impl Disable {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        self.of.switch(place, false)
    }
}

impl Enable {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        self.of.switch(place, true)
    }
}

impl Of {
    fn switch(&self, place: Place<'_>, enabled: bool) -> Result<()> {
        let Self { name, change } = self;
        let open = change.open(place)?;
        let edit = open.draft.switch(name, enabled)?;
        open.check(&edit, Options::default())?;
        let verb = if enabled { "enabled" } else { "disabled" };
        let done = match edit.is_empty() {
            true => format!("{name} is already {verb}"),
            false => format!("{verb} {name}"),
        };
        change.carry_out(place, open, &edit, &done, None)
    }
}
