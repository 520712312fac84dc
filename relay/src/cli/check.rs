use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;

use super::{exit::UsageError, output};
use crate::{
    config::{Draft, Loaded, Options, Secrets, read_regular},
    policy::{self, Compiled, Sources},
};

/// `relay check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay check                          the configuration as it is\n  \
    relay check draft.toml               another one, with the fragments in draft.d\n  \
    relay check --replace /etc/relay/relay.toml=new.toml\n                                       \
    what it would be with new.toml in that place\n\nFor configuration management:\n  \
    validate: relay check --replace /etc/relay/relay.toml=%s")]
pub(super) struct Check {
    /// The main file to check instead of --config.
    file: Option<PathBuf>,
    /// Judge the configuration as it would be with FILE in the place of PLACE, which is the main
    /// file or a fragment, there already or not. May be given more than once.
    #[arg(long, value_name = "PLACE=FILE", value_parser = parse_replacement)]
    replace: Vec<(PathBuf, PathBuf)>,
    /// Take a configuration without peers for right.
    #[arg(long)]
    allow_empty: bool,
}

impl Check {
    pub(super) fn run(&self, config: &Path) -> Result<()> {
        let path = self.file.as_deref().unwrap_or(config);
        let mut draft = Draft::read(path);
        for (place, candidate) in &self.replace {
            let shown = candidate.display();
            let bytes = read_regular(candidate).map_err(|error| {
                match error.kind() == ErrorKind::PermissionDenied {
                    true => anyhow::Error::from(error).context(shown.to_string()),
                    false => {
                        UsageError::Request(format!("{shown}: {error}; name a regular file")).into()
                    }
                }
            })?;
            let text = String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                UsageError::Request(format!("{shown}: is not UTF-8 (byte {at}); save it as UTF-8"))
            })?;
            draft.put(place, text)?;
        }
        let loaded = draft.load(Options { allow_empty: self.allow_empty })?;
        Secrets::read(&loaded)?;
        let relay = &loaded.relay;
        let compiled = compile(&loaded)?;
        output::warn(&loaded.warnings);
        let counts = compiled.counts();
        writeln!(
            output::stdout(),
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

fn parse_replacement(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.split_once('=') {
        Some((place, file)) if !place.is_empty() && !file.is_empty() => {
            Ok((place.into(), file.into()))
        }
        Some(_) | None => {
            Err("write PLACE=FILE, such as /etc/relay/relay.toml=/tmp/relay.toml".to_owned())
        }
    }
}

/// That the policy of a configuration can be compiled, whatever addresses the host has.
pub(super) fn compile(loaded: &Loaded) -> Result<Compiled> {
    let relay = &loaded.relay;
    let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
    Ok(policy::compile(&Sources { relay, host_addresses: &[], slots: &slots })?)
}
