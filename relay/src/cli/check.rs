use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;

use super::output;
use crate::{
    config::{self, Loaded, Options, Secrets},
    policy::{self, Compiled, Sources},
};

/// `relay check`: usable as `validate: relay check %s`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file to check instead of --config.
    file: Option<PathBuf>,
    /// Take a configuration without peers for right.
    #[arg(long)]
    allow_empty: bool,
}

impl Check {
    pub(super) fn run(&self, config: &Path) -> Result<()> {
        let path = self.file.as_deref().unwrap_or(config);
        let loaded = config::load(path, Options { allow_empty: self.allow_empty })?;
        Secrets::read(&loaded)?;
        let relay = &loaded.relay;
        let compiled = compile(&loaded)?;
        output::warn(&loaded.warnings)?;
        let counts = compiled.counts();
        writeln!(
            io::stdout(),
            "{}: {} with {} peers is right; the policy takes {} addresses in arrays, {} prefixes \
             and {} pairs of classes{}",
            path.display(),
            relay.interface,
            relay.peers.len(),
            counts.leaves,
            counts.prefixes,
            counts.pairs,
            match loaded.warnings.len() {
                0 => String::new(),
                1 => "; 1 warning".to_owned(),
                many => format!("; {many} warnings"),
            },
        )?;
        Ok(())
    }
}

/// That the policy of a configuration can be compiled, whatever addresses the host has.
pub(super) fn compile(loaded: &Loaded) -> Result<Compiled> {
    let relay = &loaded.relay;
    let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
    Ok(policy::compile(&Sources { relay, host_addresses: &[], slots: &slots })?)
}
