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

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Place;
use crate::engine::Result;

/// `relay peer`.
#[derive(Debug, Args)]
pub(super) struct Peer {
    /// The directory that records which configuration each client was given.
    #[arg(
        long,
        global = true,
        env = "RELAY_STATE",
        default_value = "/var/lib/relay",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    state: PathBuf,
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

/// Files and pins of the verbs.
#[derive(Debug, Clone, Copy)]
struct Site<'a> {
    place: Place<'a>,
    state: &'a Path,
}

impl Peer {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let site = Site { place, state: &self.state };
        match &self.verb {
            Verb::Add(add) => add.run(site),
            Verb::Remove(remove) => remove.run(site),
            Verb::Rename(rename) => rename.run(site),
            Verb::Disable(disable) => disable.run(site),
            Verb::Enable(enable) => enable.run(site),
            Verb::List(list) => list.run(site),
            Verb::Config(config) => config.run(site),
            Verb::Rotate(rotate) => rotate.run(site),
        }
    }
}
