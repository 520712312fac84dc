use std::{collections::BTreeMap, net::SocketAddr};

use ipnet::IpNet;

use super::WireguardError;
use crate::model::{PeerName, PresharedKey, PrivateKey, PublicKey};

/// The desired interface. Of peers that connect to the relay it has neither keepalives nor endpoints:
/// values that other programs set stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired<'a> {
    pub(super) private_key: &'a PrivateKey,
    pub(super) public_key: PublicKey,
    pub(super) listen_port: u16,
    pub(super) peers: Vec<DesiredPeer>,
    pub(super) endpoints: BTreeMap<PublicKey, SocketAddr>,
}

/// A desired peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredPeer {
    /// Name.
    pub name: PeerName,
    /// Public key.
    pub public_key: PublicKey,
    /// Preshared key.
    pub preshared_key: Option<PresharedKey>,
    /// Allowed IPs: what the peer owns.
    pub allowed_ips: Vec<IpNet>,
    /// Interval of keepalives, seconds; `None` leaves it as it is.
    pub keepalive: Option<u16>,
}

impl<'a> Desired<'a> {
    /// The interface with this key and port and these peers, in which no key and no prefix repeats.
    ///
    /// # Errors
    /// A peer has the interface's own public key.
    pub fn new(
        private_key: &'a PrivateKey,
        listen_port: u16,
        mut peers: Vec<DesiredPeer>,
    ) -> Result<Self, WireguardError> {
        let public_key = private_key.public_key();
        if let Some(peer) = peers.iter().find(|peer| peer.public_key == public_key) {
            return Err(WireguardError::OwnKey { peer: peer.name.clone() });
        }
        for peer in &mut peers {
            for prefix in &mut peer.allowed_ips {
                *prefix = prefix.trunc();
            }
            peer.allowed_ips.sort_unstable();
            peer.allowed_ips.dedup();
        }
        let endpoints = BTreeMap::new();
        Ok(Self { private_key, public_key, listen_port, peers, endpoints })
    }

    /// With endpoints for those of its peers that have none.
    pub fn with_endpoints(self, endpoints: BTreeMap<PublicKey, SocketAddr>) -> Self {
        Self { endpoints, ..self }
    }
}
