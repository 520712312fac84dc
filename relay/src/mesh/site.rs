use std::net::SocketAddr;

use crate::model::{Mesh, RelayName};

/// The relays that gossip with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Tells sites apart.
    pub cluster: String,
    /// Each relay's name, and where its agent gossips.
    pub relays: Vec<(RelayName, SocketAddr)>,
    /// Place of this relay among them.
    pub own: usize,
}

impl Site {
    /// The relays of a mesh, of which this is the one of place `own`, on their transit addresses.
    pub fn new(mesh: &Mesh, own: usize, port: u16) -> Self {
        let address = |place| SocketAddr::new(mesh.address(place).into(), port);
        let relays = mesh.relays.iter().enumerate();
        Self {
            cluster: mesh.network().to_string(),
            relays: relays.map(|(place, relay)| (relay.name.clone(), address(place))).collect(),
            own,
        }
    }

    /// Where this relay gossips.
    pub(super) fn own_address(&self) -> SocketAddr {
        self.relays[self.own].1
    }

    /// Where the other relays gossip.
    pub(super) fn other_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let others = self.relays.iter().enumerate().filter(|(place, _)| *place != self.own);
        others.map(|(_, (_, address))| *address)
    }

    /// The place of the relay that gossips from an address, unless it is this one.
    pub(super) fn other(&self, address: SocketAddr) -> Option<usize> {
        let place = self.relays.iter().position(|(_, it)| *it == address)?;
        (place != self.own).then_some(place)
    }

    /// The place of the relay of this name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.relays.iter().position(|(it, _)| it.as_str() == name)
    }
}
