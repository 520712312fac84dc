use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{exit::UsageError, output};
use crate::{
    config::{Draft, Options, Secrets, read_regular, require_signing_secrets},
    engine::{self, ErrorContext as _, Result},
    model::Relay,
};

/// `relay check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay check                          validate the configuration\n  \
    relay check draft.toml               another file, with the fragments in draft.d\n  \
    relay check --replace /etc/relay/relay.toml=new.toml\n                                       \
    the configuration with new.toml in place of the file\n\nFor configuration management:\n  \
    validate: relay check --replace /etc/relay/relay.toml=%s")]
pub(super) struct Check {
    /// Check this main file instead of --config.
    file: Option<PathBuf>,
    /// Check the configuration with FILE in place of PLACE, the main file or a fragment, which need
    /// not exist; may be repeated.
    #[arg(long, value_name = "PLACE=FILE", value_parser = parse_replacement)]
    replace: Vec<(PathBuf, PathBuf)>,
    /// Allow an empty peer list.
    #[arg(long)]
    allow_empty: bool,
}

impl Check {
    pub(super) fn run(&self, config: &Path) -> Result<()> {
        let path = self.file.as_deref().unwrap_or(config);
        let mut draft = Draft::read(path);
        for (place, candidate) in &self.replace {
            let shown = candidate.display();
            let bytes = match read_regular(candidate) {
                Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                    let text = format!("{shown}: {error}; name a regular file");
                    return Err(UsageError::Request(text).into());
                }
                read => read.with_context(|| shown.to_string())?,
            };
            let text = String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                UsageError::Request(format!("{shown}: not UTF-8 at byte {at}; save it as UTF-8"))
            })?;
            draft.put(place, text)?;
        }
        let loaded = draft.load(Options { allow_empty: self.allow_empty })?;
        Secrets::read(&loaded)?;
        require_signing_secrets(&loaded)?;
        let relay = &loaded.relay;
        let mut warnings = engine::judge(&loaded)?;
        warnings.splice(..0, loaded.warnings.iter().cloned());
        let compiled = engine::compile(&loaded)?;
        output::warn(&warnings);
        let counts = compiled.counts();
        writeln!(
            output::stdout(),
            "{}: configuration valid: {}, {}{}; policy: {} array entries, {} prefixes, {} cells",
            path.display(),
            count(relay.peers.len(), "peer"),
            rules(relay),
            count(warnings.len(), "warning"),
            counts.leaves,
            counts.prefixes,
            counts.cells,
        )?;
        Ok(())
    }
}

/// `2 rules, 1 test, ` if there are any.
fn rules(relay: &Relay) -> String {
    let counts = [(relay.rules.len(), "rule"), (relay.tests.len(), "test")];
    let some = counts.into_iter().filter(|(number, _)| *number > 0);
    some.map(|(number, noun)| format!("{}, ", count(number, noun))).collect()
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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
