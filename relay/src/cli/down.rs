use std::{io::Write as _, path::Path};

use anyhow::{Result, bail};
use clap::Args;

use super::{
    claim, exit, host,
    lock::Lock,
    output::{self, Changes},
};
use crate::{
    config::{self, Options},
    datapath::Datapath,
    model::InterfaceName,
    net::{self, Handle, NetError, fence, link},
};

/// `relay down`.
#[derive(Debug, Args)]
#[command(
    after_help = "Counters end with it; configuration and keys stay. The kernel knows which \
                  interface a configuration was brought up on, so its relay goes also when the \
                  file is gone or broken.\n\nExamples:\n  \
                  relay down                      the relay of the configuration\n  \
                  relay down --interface relay1   one that no file describes any more\n  \
                  relay down --all                all of them, whatever the files say"
)]
pub(super) struct Down {
    /// Take down the relay on this interface instead of the configuration's.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    interface: Option<InterfaceName>,
    /// Take down every relay of this network namespace that the kernel knows of.
    #[arg(long)]
    all: bool,
    /// Print one JSON object with `changed` and `changes` for each interface.
    #[arg(long)]
    json: bool,
}

impl Down {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        host::require_capabilities("down")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let handle = net::connect()?;
            let interfaces = self.interfaces(&handle, config, bpffs).await?;
            let mut remaining = Vec::new();
            for interface in &interfaces {
                match take_down(&handle, interface, bpffs).await {
                    Ok(changes) => self.tell(interface, &changes)?,
                    Err(error) if interfaces.len() == 1 => return Err(error),
                    Err(error) => {
                        // The others are to go whether or not somebody reads this.
                        output::say(exit::describe(&error));
                        remaining.push(interface.as_str());
                    }
                }
            }
            if !remaining.is_empty() {
                bail!("still there: {}", remaining.join(", "));
            }
            if interfaces.is_empty() && !self.json {
                writeln!(output::stdout(), "no relay is up")?;
            }
            Ok(())
        })
    }

    async fn interfaces(
        &self,
        handle: &Handle,
        config: &Path,
        bpffs: &Path,
    ) -> Result<Vec<InterfaceName>> {
        if let Some(interface) = &self.interface {
            return Ok(vec![interface.clone()]);
        }
        if self.all {
            return claim::all(handle, bpffs).await;
        }
        // The file may name another interface than when it was brought up.
        let mut interfaces = claim::of(handle, config).await?;
        match config::load(config, Options { allow_empty: true }) {
            Ok(loaded) if interfaces.contains(&loaded.relay.interface) => {}
            Ok(loaded) => interfaces.push(loaded.relay.interface),
            Err(problems) if interfaces.is_empty() => {
                output::warn(&[format!(
                    "no interface was brought up from {}; `relay down --interface NAME` and `relay \
                     down --all` ask no file",
                    config.display()
                )]);
                return Err(problems.into());
            }
            Err(problems) => {
                let names: Vec<_> = interfaces.iter().map(InterfaceName::as_str).collect();
                let (config, names) = (config.display(), names.join(", "));
                let problems = problems.to_string();
                let problems = problems.trim_end();
                output::warn(&[format!(
                    "{config} is not right, so what the kernel says was brought up from it goes: \
                     {names}\n{problems}"
                )]);
            }
        }
        Ok(interfaces)
    }

    fn tell(&self, interface: &InterfaceName, changes: &[String]) -> Result<()> {
        let mut out = output::stdout();
        if self.json {
            return Ok(Changes::new(interface, false, changes, &[]).print(&mut out)?);
        }
        for change in changes {
            writeln!(out, "{change}")?;
        }
        let state = if changes.is_empty() { "was not up" } else { "is down" };
        Ok(writeln!(out, "{interface}: {state}")?)
    }
}

/// Takes one relay down, and gives what went.
async fn take_down(
    handle: &Handle,
    interface: &InterfaceName,
    bpffs: &Path,
) -> Result<Vec<String>> {
    let _lock = Lock::relay(interface, "down")?;
    let datapath = Datapath::open(bpffs, interface.as_str())?;
    let mut changes = Vec::new();
    // The interface first: with it go peers, addresses, routes and filters. While it goes, policy
    // and fence still stand.
    if let Some(link) = link::read(handle, interface).await? {
        link.require_wireguard(interface)?;
        claim::require(handle, interface, &link, &datapath).await?;
        link::delete(handle, interface).await?;
        changes.push(format!("- interface {interface}"));
    }
    if datapath.exists() {
        // With its name alone an interface is listed for which a link is pinned.
        for hook in datapath.guards(&[], &[])? {
            datapath.unguard(&hook.interface)?;
            changes.push(format!("- guard on {}", hook.interface));
        }
    }
    if datapath.remove()? {
        changes.push("- policy and counters".to_owned());
    }
    match fence::take_down(interface) {
        Ok(true) => changes.push(format!("- fence inet {}", fence::table_name(interface))),
        Ok(false) | Err(NetError::NetfilterMissing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(changes)
}
