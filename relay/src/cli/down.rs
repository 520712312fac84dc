use std::{io::Write as _, path::Path};

use clap::Args;

use super::{
    Place,
    exit::{self, StillUp},
    output,
};
use crate::{
    config::Problems,
    engine::{self, Changes, Result, Scope},
    model::InterfaceName,
};

/// `relay down`.
#[derive(Debug, Args)]
#[command(
    after_help = "Counters are removed too; configuration and keys stay. The kernel records which \
                  interface a configuration was brought up on, so its relay is taken down even if \
                  the file is missing or invalid.\n\nExamples:\n  \
                  relay down                      the relay of the configuration\n  \
                  relay down --interface relay1   a relay without a configuration\n  \
                  relay down --all                every relay, without reading files"
)]
pub(super) struct Down {
    /// Take down the relay on this interface instead of the configuration's.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    interface: Option<InterfaceName>,
    /// Take down every relay in this network namespace.
    #[arg(long)]
    all: bool,
    /// Print one JSON object with `changed` and `changes` for each interface.
    #[arg(long)]
    json: bool,
}

impl Down {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let scope = match &self.interface {
            Some(interface) => Scope::Interface(interface),
            None if self.all => Scope::All,
            None => Scope::Configured,
        };
        engine::block_on(async {
            let mut down = engine::Down::find(place.site("down"), scope).await?;
            if let Some(problems) = down.problems.take() {
                report(place.config, &down.interfaces, problems)?;
            }
            let mut remaining = Vec::new();
            for interface in &down.interfaces {
                match down.take_down(interface).await {
                    Ok(changes) => self.print(interface, changes)?,
                    Err(error) if down.interfaces.len() == 1 => return Err(error),
                    Err(error) => {
                        // A closed standard error does not keep the others up.
                        output::say(exit::describe(&error));
                        remaining.push(interface.to_string());
                    }
                }
            }
            if !remaining.is_empty() {
                return Err(StillUp(remaining).into());
            }
            if down.interfaces.is_empty() && !self.json {
                writeln!(output::stdout(), "no relay is up")?;
            }
            Ok(())
        })
    }

    fn print(&self, interface: &InterfaceName, changes: Vec<String>) -> Result<()> {
        let mut out = output::stdout();
        if self.json {
            let changes = Changes::new(interface, false, changes, Vec::new());
            return output::json(&mut out, &changes);
        }
        for change in &changes {
            writeln!(out, "{change}")?;
        }
        let state = if changes.is_empty() { "was not up" } else { "is down" };
        Ok(writeln!(out, "{interface}: {state}")?)
    }
}

/// Warns about an invalid configuration, which is an error if no interface was brought up from it.
fn report(config: &Path, interfaces: &[InterfaceName], problems: Problems) -> Result<()> {
    let config = config.display();
    if interfaces.is_empty() {
        output::warn(&[format!(
            "no interface was brought up from {config}; `relay down --interface NAME` and `relay \
             down --all` need no file"
        )]);
        return Err(problems.into());
    }
    let names: Vec<_> = interfaces.iter().map(InterfaceName::as_str).collect();
    let names = names.join(", ");
    let problems = problems.to_string();
    output::warn(&[format!(
        "{config} is invalid; taking down what was brought up from it: {names}\n{}",
        problems.trim_end()
    )]);
    Ok(())
}
