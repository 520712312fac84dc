use std::{collections::HashMap, net::IpAddr, sync::Arc};

use hickory_proto::rr::Name;
use ipnet::IpNet;

use crate::{
    model::{PublicKey, Relay},
    policy::may_begin,
};

/// The names of one configuration.
#[derive(Debug)]
pub struct Zone {
    pub(super) relay: Arc<Relay>,
    /// The zone's own name, which is also the relay's.
    pub(super) apex: Name,
    /// What is at and below each name in the zone, apart from its own.
    nodes: HashMap<Name, Node>,
    /// The peers that have an address, by their places.
    owners: HashMap<IpAddr, usize>,
}

/// A name of the zone.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The peer of this name.
    pub(super) owner: Option<usize>,
    /// Peers whose names end with it, such as `web.berlin` at `berlin`.
    pub(super) below: Vec<usize>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The relay's host.
    Relay,
    /// An enabled peer, by its place in [`Relay::peers`].
    Peer(usize),
}

impl Zone {
    /// The names of a configuration; `None` if it has none.
    pub fn of(relay: Arc<Relay>) -> Option<Self> {
        let names = relay.names.as_ref()?;
        let apex = fully_qualified(&names.zone)?;
        let mut nodes: HashMap<Name, Node> = HashMap::new();
        let mut owners = HashMap::new();
        for (place, peer) in relay.peers.iter().enumerate().filter(|(_, peer)| peer.enabled) {
            owners.extend(peer.addresses.iter().map(|address| (*address, place)));
            // One that makes no domain name has none.
            let name = format!("{}.{}", peer.name, names.zone);
            let Some(whole) = fully_qualified(&name) else { continue };
            let mut above = whole.base_name();
            while above.num_labels() > apex.num_labels() {
                nodes.entry(above.clone()).or_default().below.push(place);
                above = above.base_name();
            }
            nodes.entry(whole).or_default().owner = Some(place);
        }
        Some(Self { relay, apex, nodes, owners })
    }

    /// The configuration.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Resolvers for names of others.
    pub fn forward(&self) -> &[IpAddr] {
        self.relay.names.as_ref().map_or(&[], |names| &names.forward)
    }

    /// Who asks from this address. WireGuard drops what a peer sends with an address that it does not
    /// own, and answers to addresses of the overlay leave by WireGuard, whoever asked. Neither holds for
    /// `routes`, which another network of the host may overlap.
    pub fn asker(&self, source: IpAddr) -> Option<Asker> {
        if self.is_relay(source) {
            return Some(Asker::Relay);
        }
        self.owner(source).map(Asker::Peer)
    }

    /// The key of a peer that asks, which a change of the configuration leaves as it is.
    pub fn key(&self, asker: Asker) -> Option<PublicKey> {
        match asker {
            Asker::Relay => None,
            Asker::Peer(place) => Some(self.relay.peers[place].public_key),
        }
    }

    /// Whether questions about other names go to other resolvers. Those of the relay's host do not: it
    /// has its own, which may ask the relay.
    pub(super) fn forwards(&self, asker: Asker) -> bool {
        !self.forward().is_empty() && matches!(asker, Asker::Peer(_))
    }

    pub(super) fn node(&self, name: &Name) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The enabled peer that has an address, not only a route to it.
    pub(super) fn owner(&self, address: IpAddr) -> Option<usize> {
        self.owners.get(&address).copied()
    }

    /// The name of a peer in the zone.
    pub(super) fn name_of(&self, place: usize) -> Option<Name> {
        let zone = &self.relay.names.as_ref()?.zone;
        fully_qualified(&format!("{}.{zone}", self.relay.peers[place].name))
    }

    pub(super) fn is_relay(&self, address: IpAddr) -> bool {
        self.relay.addresses.iter().any(|own| own.addr() == address)
    }

    /// The network of the overlay that holds all of this one.
    pub(super) fn overlay(&self, net: &IpNet) -> Option<&IpNet> {
        self.relay.addresses.iter().find(|overlay| overlay.contains(net))
    }

    /// Whether somebody may know that `address` belongs to the peer at that place, at a time in seconds
    /// since 1970-01-01T00:00:00Z.
    pub(super) fn may_know(&self, asker: Asker, place: usize, address: IpAddr, now: u64) -> bool {
        match asker {
            Asker::Relay => true,
            Asker::Peer(own) if own == place => true,
            Asker::Peer(own) => {
                let mut from = self.relay.peers[own].addresses.iter();
                from.any(|from| may_begin(&self.relay, (own, *from), (place, address), now))
            }
        }
    }
}

fn fully_qualified(text: &str) -> Option<Name> {
    Name::from_ascii(format!("{text}.")).ok()
}
