use std::path::Path;

use super::{
    Error, Lock, Result, Site, claim,
    history::history_path,
    mesh::{self, transit},
    record, require_capabilities, sample, saved, trial,
};
use crate::{
    config::{self, Options, Problems},
    datapath::Datapath,
    history::Store,
    model::InterfaceName,
    net::{self, Handle, NetError, fence, link},
    wireguard::{self, WireguardError},
};

/// Relays that are to be taken down.
pub struct Down<'a> {
    site: Site<'a>,
    handle: Handle,
    /// Their interfaces.
    pub interfaces: Vec<InterfaceName>,
    /// Problems of the configuration; the interfaces are then those that the kernel knows.
    pub problems: Option<Problems>,
}

/// Which relays to take down.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Those of the configuration.
    Configured,
    /// The one on an interface.
    Interface(&'a InterfaceName),
    /// All of this network namespace.
    All,
}

impl<'a> Down<'a> {
    /// Finds them.
    ///
    /// # Errors
    /// The process lacks a capability, or the kernel does not answer.
    pub async fn find(site: Site<'a>, scope: Scope<'_>) -> Result<Self> {
        require_capabilities(site.verb)?;
        let handle = net::connect()?;
        let (interfaces, problems) = match scope {
            Scope::Interface(interface) => (vec![interface.clone()], None),
            Scope::All => (claim::all(&handle, site.bpffs).await?, None),
            Scope::Configured => configured(site, &handle).await?,
        };
        Ok(Self { site, handle, interfaces, problems })
    }

    /// Takes one of them down. A line for each thing that is removed.
    ///
    /// # Errors
    /// The interface is not relay's, or something cannot be removed.
    pub async fn take_down(&self, interface: &InterfaceName) -> Result<Vec<String>> {
        let Site { verb, bpffs, state, notice, .. } = self.site;
        let _lock = Lock::relay(interface, verb, notice)?;
        let datapath = Datapath::open(bpffs, interface.as_str())?;
        let mut changes = Vec::new();
        // Not a reason to stay up.
        for save in [save, record_last] {
            if let Err(error) = save(state, interface, &datapath) {
                tracing::warn!("{interface}: {}", error.chain());
            }
        }
        for transit in transit::delete_all(&self.handle, interface, &datapath).await? {
            changes.push(format!("- interface {transit}"));
        }
        // The interface first: peers, addresses, routes and filters go with it, and until it is gone
        // policy and fence hold.
        if let Some(link) = link::read(&self.handle, interface).await? {
            link.require_wireguard(interface)?;
            claim::require(&self.handle, interface, &link, &datapath).await?;
            delete_interface(&self.handle, interface).await?;
            changes.push(format!("- interface {interface}"));
        }
        if datapath.exists() {
            // Lists the interfaces for which a link is pinned.
            for hook in datapath.guards(&[], &[])? {
                datapath.unguard(&hook.interface)?;
                changes.push(format!("- guard on {}", hook.interface));
            }
        }
        if datapath.remove()? {
            changes.push("- policy and counters".to_owned());
        }
        record::remove(interface)?;
        mesh::state::forget(interface)?;
        trial::forget(interface)?;
        match fence::take_down(interface) {
            Ok(true) => changes.push(format!("- fence inet {}", fence::table_name(interface))),
            Ok(false) | Err(NetError::NetfilterMissing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(changes)
    }
}

/// Deletes a WireGuard interface, its peers first: with them the kernel takes far longer.
pub(super) async fn delete_interface(handle: &Handle, interface: &InterfaceName) -> Result<()> {
    match wireguard::remove_peers(interface) {
        Ok(()) | Err(WireguardError::NoInterface { .. }) => {}
        // The interface goes all the same.
        Err(error) => tracing::warn!("{interface}: {}", Error::from(error).chain()),
    }
    link::delete(handle, interface).await?;
    Ok(())
}

/// Saves what peers have used of their quotas, if anything tells.
fn save(state: &Path, interface: &InterfaceName, datapath: &Datapath) -> Result<()> {
    let used = datapath.used(&datapath.slots()?)?;
    if !used.is_empty() {
        saved::write(state, interface, &used)?;
    }
    Ok(())
}

/// Adds what was counted since its latest sample to the history, if there is one.
fn record_last(state: &Path, interface: &InterfaceName, datapath: &Datapath) -> Result<()> {
    let path = history_path(state, interface);
    if path.exists() && datapath.exists() {
        Store::add(&path, &sample::read(datapath, |_key| None)?)?;
    }
    Ok(())
}

/// The interfaces that the configuration was brought up on, and the one that it names now.
async fn configured(
    site: Site<'_>,
    handle: &Handle,
) -> Result<(Vec<InterfaceName>, Option<Problems>)> {
    let mut interfaces = claim::of(handle, site.config).await?;
    match config::load(site.config, Options { allow_empty: true }) {
        Ok(loaded) if interfaces.contains(&loaded.relay.interface) => Ok((interfaces, None)),
        Ok(loaded) => {
            interfaces.push(loaded.relay.interface);
            Ok((interfaces, None))
        }
        Err(problems) => Ok((interfaces, Some(problems))),
    }
}
