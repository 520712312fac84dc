//! What a configuration asks of this host.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use relay_common::names::{ANSWER, PASSED};

use super::{Result, mesh::transit};
use crate::{
    config::{Loaded, Secrets},
    datapath::{Observed, Slots},
    model::{Mesh, PrivateKey, PublicKey, Relay},
    net::{
        self, Handle, NetError,
        fence::{Fence, FenceState, Marks},
    },
    policy::{self, Compiled, Sources},
    wireguard::{self, DesiredPeer},
};

/// What a relay is to become.
pub(super) struct Desired<'a> {
    pub(super) relay: &'a Relay,
    secrets: &'a Secrets,
    /// The alias of its interface.
    pub(super) mark: &'a str,
    /// The private key of the relay, and whether it is yet to be written.
    private_key: PrivateKey,
    is_key_new: bool,
    /// Addresses of the host that the policy knows.
    pub(super) host_addresses: Vec<IpAddr>,
    /// Where peers and relays are reached that have no endpoint yet.
    endpoints: BTreeMap<PublicKey, SocketAddr>,
}

impl<'a> Desired<'a> {
    /// What `loaded` asks for, given the addresses of this host. A relay without a key gets one.
    ///
    /// # Errors
    /// The kernel does not answer, or no key can be generated.
    pub(super) async fn of(
        handle: &Handle,
        loaded: &'a Loaded,
        secrets: &'a Secrets,
        mark: &'a str,
    ) -> Result<Self> {
        let relay = &loaded.relay;
        let host_addresses = host_addresses(handle, relay).await?;
        let key = match secrets.private_key() {
            Some(key) => (key.clone(), false),
            None => (PrivateKey::generate()?, true),
        };
        Ok(Self::new(relay, secrets, mark, key, host_addresses))
    }

    /// The same from its parts; `key` is the private key, and whether it is yet to be written.
    pub(super) fn new(
        relay: &'a Relay,
        secrets: &'a Secrets,
        mark: &'a str,
        key: (PrivateKey, bool),
        host_addresses: Vec<IpAddr>,
    ) -> Self {
        let (private_key, is_key_new) = key;
        let endpoints = BTreeMap::new();
        Self { relay, secrets, mark, private_key, is_key_new, host_addresses, endpoints }
    }

    /// Its tunnels to other relays of the site.
    pub(super) fn transits(&self) -> transit::Desired<'_> {
        transit::Desired { relay: self.relay, key: self.secrets.mesh(), endpoints: &self.endpoints }
    }

    /// With endpoints for peers that have none, and for relays.
    pub(super) fn with_endpoints(self, endpoints: BTreeMap<PublicKey, SocketAddr>) -> Self {
        Self { endpoints, ..self }
    }

    /// The private key, and whether it is yet to be written.
    pub(super) const fn private_key(&self) -> (&PrivateKey, bool) {
        (&self.private_key, self.is_key_new)
    }

    /// WireGuard with that key.
    ///
    /// # Errors
    /// A peer has the relay's own key.
    pub(super) fn wireguard<'k>(&self, key: &'k PrivateKey) -> Result<wireguard::Desired<'k>> {
        let peers = self.relay.enabled().map(|peer| DesiredPeer {
            name: peer.name.clone(),
            public_key: peer.public_key,
            preshared_key: self.secrets.preshared_key(peer).cloned(),
            allowed_ips: peer.owned().collect(),
            keepalive: None,
        });
        let desired = wireguard::Desired::new(key, self.relay.listen_port, peers.collect())?;
        Ok(desired.with_endpoints(self.endpoints.clone()))
    }
}

/// The policy of a configuration on this host, with the slots that its peers have or get.
///
/// # Errors
/// The kernel does not answer, or the policy is too large.
pub(super) async fn policy(
    handle: &Handle,
    relay: &Relay,
    observed: &Observed,
) -> Result<(Compiled, Slots)> {
    let slots = Slots::assign(relay, &observed.slots)?;
    let host_addresses = host_addresses(handle, relay).await?;
    let sources = Sources { relay, host_addresses: &host_addresses, slots: slots.as_slice() };
    Ok((policy::compile(&sources, slots.rules())?, slots))
}

/// The host's addresses, except loopback, link-local and transit ones, which are always dropped, and
/// those of the relay's own interface: there the configuration counts, not what the interface has now.
///
/// # Errors
/// The kernel does not answer.
pub(super) async fn host_addresses(handle: &Handle, relay: &Relay) -> Result<Vec<IpAddr>> {
    let mut addresses = net::host_addresses_beside(handle, &relay.interface).await?;
    let transit = relay.mesh.as_ref().map(Mesh::network);
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => {
            !v6.is_loopback()
                && !v6.is_unicast_link_local()
                && !transit.is_some_and(|transit| transit.contains(v6))
        }
    });
    Ok(addresses)
}

/// Whether the fence that was found is what the relay asks for.
///
/// # Errors
/// It could not be read. Without netfilter there is no fence, which is what a relay without one asks
/// for.
pub(super) fn is_fence_desired(
    found: Result<FenceState, NetError>,
    relay: &Relay,
) -> Result<bool, NetError> {
    match (found, relay.fence) {
        (Ok(FenceState::Intact), true) | (Ok(FenceState::Absent), false) => Ok(true),
        (Ok(_), _) => Ok(false),
        (Err(NetError::NetfilterMissing { .. }), false) => Ok(true),
        (Err(error), _) => Err(error),
    }
}

/// The fence that belongs to the programs.
pub(super) fn fence(relay: &Relay) -> Fence {
    Fence::of(relay, Marks { passed: PASSED, answer: ANSWER })
}
