use std::{net::Ipv6Addr, path::PathBuf};

use ipnet::Ipv6Net;

use super::{InterfaceName, PublicKey, RelayName};

/// The relays of a site, which are one to their peers: the table `[mesh]`. Equal on all of them but
/// for `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Which of `relays` this is; `None`: the one whose key this host has.
    pub name: Option<RelayName>,
    /// First UDP port of the transit tunnels, which take one for each relay.
    pub port: u16,
    /// File with the private key of the transit tunnels in base64.
    pub private_key_file: PathBuf,
    /// The relays, this one among them. Their order gives ports and addresses.
    pub relays: Vec<MeshRelay>,
}

/// One relay of a site: the table `[[mesh.relay]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshRelay {
    /// Its name.
    pub name: RelayName,
    /// Its public key in the transit tunnels.
    pub public_key: PublicKey,
    /// Its address or DNS name on the underlay.
    pub host: String,
}

/// The tunnel from one relay of a site to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transit {
    /// Its interface.
    pub interface: InterfaceName,
    /// The other relay.
    pub relay: MeshRelay,
    /// UDP port on which it listens here.
    pub listen_port: u16,
    /// UDP port on which it listens at the other relay.
    pub port_there: u16,
    /// This relay's address on it.
    pub address: Ipv6Addr,
    /// The other relay's address on it.
    pub address_there: Ipv6Addr,
}

impl Mesh {
    /// The relays, each with the interface of the tunnel to it on a relay with this interface of its
    /// own. The one to itself is only a name.
    pub fn interfaces(
        &self,
        own: &InterfaceName,
    ) -> impl Iterator<Item = (&MeshRelay, InterfaceName)> {
        self.relays.iter().filter_map(move |relay| {
            // `config` has checked that it is not too long.
            Some((relay, format!("{own}-{}", relay.name).parse().ok()?))
        })
    }

    /// Which of the relays has this public key: its place in the list.
    pub fn place_of(&self, key: &PublicKey) -> Option<usize> {
        self.relays.iter().position(|relay| relay.public_key == *key)
    }

    /// The tunnels of the relay of this place to all others, in the order of the list. `interface` is
    /// the relay's own.
    pub fn transits(&self, own: usize, interface: &InterfaceName) -> Vec<Transit> {
        let all = self.interfaces(interface).enumerate();
        let transit = |(place, (relay, interface)): (usize, (&MeshRelay, InterfaceName))| Transit {
            interface,
            relay: relay.clone(),
            listen_port: self.port_for(place),
            port_there: self.port_for(own),
            address: self.address(own),
            address_there: self.address(place),
        };
        all.filter(|(place, _)| *place != own).map(transit).collect()
    }

    /// The network of the addresses on transit interfaces: a unique local one (RFC 4193), whose 40
    /// random bits are from the first relay's key.
    pub fn network(&self) -> Ipv6Net {
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        if let Some(first) = self.relays.first() {
            octets[1..6].copy_from_slice(&first.public_key.as_bytes()[..5]);
        }
        Ipv6Net::new_assert(octets.into(), 64)
    }

    /// The address of the relay of this place on its transit interfaces.
    pub fn address(&self, place: usize) -> Ipv6Addr {
        (self.network().addr().to_bits() + place as u128 + 1).into()
    }

    /// The port on which the tunnel to the relay of this place listens, on every relay: it says who
    /// calls.
    pub fn port_for(&self, place: usize) -> u16 {
        // `config` has checked that there are as many.
        self.port.saturating_add(u16::try_from(place).unwrap_or(u16::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh() -> Mesh {
        let relay = |(name, byte): (&str, u8)| MeshRelay {
            name: name.parse().expect("a name"),
            public_key: PublicKey::from_bytes([byte; 32]),
            host: format!("192.0.2.{byte}"),
        };
        Mesh {
            name: None,
            port: 51830,
            private_key_file: "mesh.key".into(),
            relays: [("a", 1), ("b", 2), ("c", 3)].map(relay).into(),
        }
    }

    #[test]
    fn both_ends_of_a_tunnel_agree() {
        let (mesh, interface) = (mesh(), "relay0".parse().expect("a name"));
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let of = |own: usize, to: usize| {
                let all = mesh.transits(own, &interface);
                all.into_iter().find(|it| it.relay == mesh.relays[to]).expect("a tunnel")
            };
            let (here, there) = (of(one, other), of(other, one));
            assert_eq!((here.port_there, here.listen_port), (there.listen_port, there.port_there));
            assert_eq!((here.address, here.address_there), (there.address_there, there.address));
            assert!(mesh.network().contains(&here.address));
        }
        let names = mesh.transits(1, &interface);
        let names: Vec<_> = names.iter().map(|it| it.interface.to_string()).collect();
        assert_eq!(names, ["relay0-a", "relay0-c"]);
    }

    #[test]
    fn a_relay_is_known_by_its_key() {
        assert_eq!(mesh().place_of(&PublicKey::from_bytes([3; 32])), Some(2));
        assert_eq!(mesh().place_of(&PublicKey::from_bytes([4; 32])), None);
    }
}
