use std::{net::Ipv6Addr, path::PathBuf};

use ipnet::Ipv6Net;

use super::{InterfaceName, NameError, PublicKey, RelayName};

/// The relays of a site, which are one to their peers: the table `[mesh]`. Equal on all of them but
/// for `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Which of `relays` this is; `None`: the one whose key this host has.
    pub name: Option<RelayName>,
    /// First UDP port of the transit tunnels, which take one for each relay.
    pub port: u16,
    /// File with the private key of the transit tunnels in base64; created by `relay up` if absent.
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

impl Mesh {
    /// The interface of the transit tunnel to a relay.
    ///
    /// # Errors
    /// It would be too long.
    pub fn interface(relay: &InterfaceName, other: &RelayName) -> Result<InterfaceName, NameError> {
        format!("{relay}-{other}").parse()
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
