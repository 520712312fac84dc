//! This relay among those of its site.

use super::super::{Classified, Context, Error, Kind, Result};
use crate::{
    config::{Loaded, MeshKey, read_mesh_key},
    datapath::{self, Datapath, Homes},
    model::{InterfaceName, Mesh, MeshRelay, Relay, RelayName},
    policy::{self, Sources},
};

/// The configuration has no `[mesh]`.
#[derive(Debug, thiserror::Error)]
#[error(
    "{interface} is the only relay of its site: found no [mesh] in its configuration; with one it \
     shares its peers with others (docs/guides/mesh.md)"
)]
struct Alone {
    interface: InterfaceName,
}

impl Classified for Alone {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// The configuration has `[mesh]`, and the relay runs without.
#[derive(Debug, thiserror::Error)]
#[error("{interface} runs without the [mesh] of its configuration; `relay up` applies it")]
struct NotApplied {
    interface: InterfaceName,
}

impl Classified for NotApplied {}

/// No relay of the site has the name.
#[derive(Debug, thiserror::Error)]
#[error("{name} is no relay of this site; its relays are {relays}")]
struct Unknown {
    name: RelayName,
    relays: String,
}

impl Classified for Unknown {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// The site of a relay, and which of its relays this one is.
pub(super) struct Site<'a> {
    pub(super) interface: &'a InterfaceName,
    pub(super) mesh: &'a Mesh,
    pub(super) key: MeshKey,
}

impl<'a> Site<'a> {
    /// The site of the configured relay.
    ///
    /// # Errors
    /// It has none; its key cannot be read.
    pub(super) fn of(context: &'a Context) -> Result<Self> {
        Self::of_loaded(context.loaded()?)
    }

    /// The site of a configuration.
    ///
    /// # Errors
    /// It has none; its key cannot be read.
    pub(super) fn of_loaded(loaded: &'a Loaded) -> Result<Self> {
        let interface = &loaded.relay.interface;
        let mesh = loaded.relay.mesh.as_ref();
        let mesh = mesh.ok_or_else(|| Alone { interface: interface.clone() })?;
        let key = read_mesh_key(loaded)?;
        let key = key.ok_or_else(|| Alone { interface: interface.clone() })?;
        Ok(Self { interface, mesh, key })
    }

    /// This relay.
    pub(super) fn own(&self) -> &'a MeshRelay {
        &self.mesh.relays[self.key.place]
    }

    /// The relay of a name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn named(&self, name: &RelayName) -> Result<&'a MeshRelay> {
        let found = self.mesh.relays.iter().find(|relay| relay.name == *name);
        Ok(found.ok_or_else(|| {
            let names: Vec<_> = self.mesh.relays.iter().map(|it| it.name.to_string()).collect();
            Unknown { name: name.clone(), relays: names.join(", ") }
        })?)
    }

    /// Where peers are at home.
    ///
    /// # Errors
    /// The relay was not brought up with the mesh, or a pin cannot be read.
    pub(super) fn homes(&self, datapath: &Datapath) -> Result<Homes> {
        let homes = datapath.homes()?;
        homes.ok_or_else(|| Self::not_applied(self.interface))
    }

    /// The relay runs without the mesh of its configuration.
    pub(super) fn not_applied(interface: &InterfaceName) -> Error {
        NotApplied { interface: interface.clone() }.into()
    }
}

/// What a policy is by itself: equal on relays with equal configurations, whatever slots their peers
/// have, whichever addresses their hosts, and while one relay is upgraded and the other not yet.
///
/// # Errors
/// The policy is too large.
pub(super) fn canonical_hash(relay: &Relay) -> Result<[u8; 16]> {
    let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
    let rules: Vec<u32> = (1..).take(relay.rules.len()).collect();
    let sources = Sources { relay, host_addresses: &[], slots: &slots };
    Ok(datapath::tables_hash(&policy::compile(&sources, &rules)?))
}
