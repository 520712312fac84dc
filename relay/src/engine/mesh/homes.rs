//! Homes as the programs have them, and as the ledger has them: the one are indices of interfaces and
//! slots, the other places in the list of the site.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use relay_common::mesh;

use super::super::Result;
use crate::{
    datapath::{Datapath, Homes},
    mesh::{Claim, Home},
    model::{Peer, PublicKey},
};

/// The peers and relays of a site, by their slots.
pub(super) struct Roster {
    /// The peer of each slot.
    peers: Vec<Option<PublicKey>>,
    slots: BTreeMap<PublicKey, u32>,
    /// The way to each relay of the list: the index of its transit interface, 0 of this one, and its
    /// slot.
    ways: Vec<mesh::Home>,
}

impl Roster {
    /// Of these peers. `slots` are those of peers and relays, `ways` those of the relays.
    pub(super) fn new(
        peers: impl IntoIterator<Item = PublicKey>,
        slots: BTreeMap<PublicKey, u32>,
        ways: Vec<mesh::Home>,
    ) -> Self {
        let most = slots.values().copied().max().unwrap_or(0);
        let mut by_slot = vec![None; most as usize + 1];
        for peer in peers {
            if let Some(&slot) = slots.get(&peer) {
                by_slot[slot as usize] = Some(peer);
            }
        }
        Self { peers: by_slot, slots, ways }
    }

    /// The slots that peers have, with the peers.
    pub(super) fn peers(&self) -> impl Iterator<Item = (u32, PublicKey)> {
        (0..).zip(&self.peers).filter_map(|(slot, peer)| Some((slot, (*peer)?)))
    }

    /// The peer of a slot.
    pub(super) fn peer(&self, slot: u32) -> Option<PublicKey> {
        *self.peers.get(slot as usize)?
    }

    /// The slot of a peer.
    pub(super) fn slot(&self, peer: &PublicKey) -> Option<u32> {
        self.slots.get(peer).copied()
    }

    /// The indices of the transit interfaces to the relays of the list.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = u32> {
        self.ways.iter().map(|way| way.interface)
    }

    /// A home of the programs as one of the ledger.
    pub(super) fn home(&self, home: mesh::Home) -> Home {
        match home {
            mesh::Home::HERE => Home::Here,
            home if !home.is_elsewhere() => Home::Unknown,
            home => {
                let place = self.ways.iter().position(|way| way.slot == home.slot);
                place.map_or(Home::Unknown, Home::At)
            }
        }
    }

    /// A home of the ledger as one of the programs. One at a relay without a tunnel is unknown.
    pub(super) fn way(&self, home: Home) -> mesh::Home {
        match home {
            Home::Here => mesh::Home::HERE,
            Home::Unknown => mesh::Home::UNKNOWN,
            Home::At(place) => match self.ways.get(place) {
                Some(way) if way.is_elsewhere() => *way,
                Some(_) | None => mesh::Home::UNKNOWN,
            },
        }
    }
}

/// The peers that are at home at other relays of the site; none without a mesh.
///
/// # Errors
/// A pin cannot be read.
pub(in crate::engine) fn away(datapath: &Datapath) -> Result<BTreeSet<PublicKey>> {
    let Some(homes) = datapath.homes()? else { return Ok(BTreeSet::new()) };
    let slots = datapath.slots()?.into_iter();
    let away = slots.filter(|(_, slot)| homes.home(*slot).is_elsewhere());
    Ok(away.map(|(peer, _)| peer).collect())
}

/// Where the peers of a configuration that have slots are at home.
pub(super) fn of_peers<'a>(
    peers: &'a [Peer],
    slots: &'a BTreeMap<PublicKey, u32>,
    homes: &'a Homes,
) -> impl Iterator<Item = mesh::Home> + 'a {
    peers.iter().filter_map(|peer| Some(homes.home(*slots.get(&peer.public_key)?)))
}

/// Where a claim says that the peer is reached.
pub(super) fn endpoint(claim: &mesh::Claim) -> Option<SocketAddr> {
    let address = IpAddr::from(Ipv6Addr::from(claim.address)).to_canonical();
    (claim.port != 0).then(|| SocketAddr::new(address, claim.port))
}

/// The claim that is recorded of a slot, if there is one.
pub(super) fn recorded(homes: &Homes, slot: u32) -> Option<Claim> {
    let claim = homes.claim(slot);
    let version = Some(claim.version).filter(|version| *version > 0)?;
    Some(Claim::new(version, claim.handshake, endpoint(&claim)))
}

/// A claim as it is recorded.
pub(super) fn record(claim: &Claim) -> mesh::Claim {
    let (address, port) = match claim.endpoint {
        Some(endpoint) => (octets(endpoint), endpoint.port()),
        None => ([0; 16], 0),
    };
    mesh::Claim { address, handshake: claim.handshake, version: claim.version, port, reserved: 0 }
}

fn octets(endpoint: SocketAddr) -> [u8; 16] {
    match endpoint.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    #[test]
    fn homes_are_the_same_both_ways() {
        let slots = BTreeMap::from([(key(1), 1), (key(2), 5), (key(8), 2), (key(9), 3)]);
        let ways = vec![
            mesh::Home { interface: 0, slot: 2 },
            mesh::Home { interface: 7, slot: 3 },
            mesh::Home { interface: 0, slot: 4 },
        ];
        let roster = Roster::new([key(1), key(2), key(3)], slots, ways);
        for home in [Home::Here, Home::Unknown, Home::At(1)] {
            assert_eq!(roster.home(roster.way(home)), home);
        }
        assert_eq!(roster.way(Home::At(2)), mesh::Home::UNKNOWN);
        assert_eq!(roster.home(mesh::Home { interface: 9, slot: 77 }), Home::Unknown);
        assert_eq!(roster.peers().collect::<Vec<_>>(), [(1, key(1)), (5, key(2))]);
        assert_eq!((roster.peer(5), roster.peer(3), roster.peer(99)), (Some(key(2)), None, None));
    }

    #[test]
    fn a_claim_is_recorded_whole() {
        for at in ["192.0.2.1:51820", "[2001:db8::1]:7"] {
            let claim = Claim::new(3, 1_764_250_000, at.parse().ok());
            assert_eq!(endpoint(&record(&claim)), claim.endpoint);
        }
        assert_eq!(endpoint(&record(&Claim::new(1, 0, None))), None);
    }
}
