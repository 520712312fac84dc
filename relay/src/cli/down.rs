use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::Result;
use clap::Args;

use super::{host, output::Changes};
use crate::{
    config::{self, Options},
    datapath::Datapath,
    model::InterfaceName,
    net::{self, NetError, fence, link},
};

/// `relay down`.
#[derive(Debug, Args)]
#[command(after_help = "Counters end with it; configuration and keys stay.\n\nExamples:\n  \
                  relay down                      the relay of the configuration\n  \
                  relay down --interface relay1   one that no file describes any more")]
pub(super) struct Down {
    /// Take down the relay on this interface instead of the configuration's.
    #[arg(long, value_name = "NAME")]
    interface: Option<InterfaceName>,
    /// Print one JSON object with `changed` and `changes`.
    #[arg(long)]
    json: bool,
}

impl Down {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let interface = match &self.interface {
            Some(interface) => interface.clone(),
            None => config::load(config, Options { allow_empty: true })?.relay.interface,
        };
        host::require_capabilities("down")?;
        // Given a name, it takes down what no file may describe any more.
        let _lock = match self.interface {
            Some(_) => None,
            None => Some(host::lock(config)?),
        };
        let datapath = Datapath::open(bpffs, interface.as_str())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let changes = runtime.block_on(async {
            let handle = net::connect()?;
            let mut changes = Vec::new();
            // The interface first: with it go peers, addresses, routes and filters. While it
            // goes, policy and fence still stand.
            if let Some(link) = link::read(&handle, &interface).await? {
                link.require_wireguard(&interface)?;
                link::delete(&handle, &interface).await?;
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
            match fence::take_down(&interface) {
                Ok(true) => changes.push(format!("- fence inet {}", fence::table_name(&interface))),
                Ok(false) | Err(NetError::NetfilterMissing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            anyhow::Ok(changes)
        })?;
        let mut out = io::stdout().lock();
        if self.json {
            Changes::new(&interface, false, &changes, &[]).print(&mut out)?;
            return Ok(());
        }
        for change in &changes {
            writeln!(out, "{change}")?;
        }
        let state = if changes.is_empty() { "was not up" } else { "is down" };
        writeln!(out, "{interface}: {state}")?;
        Ok(())
    }
}
