//! `relay peer`: one file per verb. A change replaces whole files, and only if the configuration
//! then passes `relay check`.

mod add;
mod change;
mod client;
mod config;
mod list;
mod remove;
mod rename;
mod rotate;
mod switch;

use clap::{Args, Subcommand};

use super::Place;
use crate::engine::Result;

/// `relay peer`.
#[derive(Debug, Args)]
pub(super) struct Peer {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a peer to the configuration.
    Add(add::Add),
    /// Remove a peer from the configuration.
    Remove(remove::Remove),
    /// Rename a peer; its key and counters stay.
    Rename(rename::Rename),
    /// Disconnect a peer; its addresses, key and counters stay.
    Disable(switch::Disable),
    /// Enable a disabled peer.
    Enable(switch::Enable),
    /// List the configured peers and mark one-sided pairs.
    List(list::List),
    /// Print the configuration of a peer's client.
    Config(config::Config),
    /// Give a peer a new key pair; its counters restart.
    Rotate(rotate::Rotate),
}

impl Peer {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        match &self.verb {
            Verb::Add(add) => add.run(place),
            Verb::Remove(remove) => remove.run(place),
            Verb::Rename(rename) => rename.run(place),
            Verb::Disable(disable) => disable.run(place),
            Verb::Enable(enable) => enable.run(place),
            Verb::List(list) => list.run(place),
            Verb::Config(config) => config.run(place),
            Verb::Rotate(rotate) => rotate.run(place),
        }
    }
}
