use clap::Args;

use super::{Place, change::Change};
use crate::{
    config::{Options, parse_peer_name},
    engine::Result,
    model::PeerName,
};

/// `relay peer rename`.
#[derive(Debug, Args)]
#[command(
    after_help = "Only the name changes, in groups, rules and tests too; a fragment keeps its \
    file name.\n\nExamples:\n  \
    relay peer rename node-c node-cellar"
)]
pub(super) struct Rename {
    /// Current name.
    #[arg(value_parser = parse_peer_name)]
    old: PeerName,
    /// New name: 1 to 63 characters of a-z 0-9 _ . -
    #[arg(value_parser = parse_peer_name)]
    new: PeerName,
    #[command(flatten)]
    change: Change,
}

impl Rename {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let open = self.change.open(place)?;
        let edit = open.draft.rename(&self.old, &self.new)?;
        open.check(&edit, Options::default())?;
        let done = format!("renamed {} to {}", self.old, self.new);
        self.change.carry_out(place, open, &edit, &done, None)
    }
}
