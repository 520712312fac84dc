//! `relay peer`: one file per verb. Files are changed whole or not at all, and only when what they
//! become would pass `relay check`.

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

use anyhow::Result;
use clap::{Args, Subcommand};

/// `relay peer`.
#[derive(Debug, Args)]
pub(super) struct Peer {
    /// Where it is kept which clients were given which configuration.
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
    /// Give a peer another name; its counters stay with its key.
    Rename(rename::Rename),
    /// Cut a peer off; it keeps its addresses, key and counts.
    Disable(switch::Disable),
    /// Let a peer in again that was disabled.
    Enable(switch::Enable),
    /// Show the peers of the configuration and mark one-sided pairs.
    List(list::List),
    /// Show the configuration of a peer's own client.
    Config(config::Config),
    /// Give a peer a new key pair; counts begin anew with it.
    Rotate(rotate::Rotate),
}

/// The places the verbs work on.
#[derive(Debug, Clone, Copy)]
struct Site<'a> {
    config: &'a Path,
    bpffs: &'a Path,
    state: &'a Path,
}

impl Peer {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let site = Site { config, bpffs, state: &self.state };
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
