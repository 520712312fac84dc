use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Change, Device, DevicePeer, WireguardError};
use crate::model::{PeerName, PresharedKey, PrivateKey, PublicKey};

/// The interface as the configuration wants it.
///
/// Endpoint and keepalive are not part of it: peers dial in, and what something else set there is
/// left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired<'a> {
    private_key: &'a PrivateKey,
    public_key: PublicKey,
    listen_port: u16,
    peers: Vec<DesiredPeer>,
}

/// One peer as the configuration wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredPeer {
    /// Its name, for people.
    pub name: PeerName,
    /// What the kernel knows it by.
    pub public_key: PublicKey,
    /// Its preshared key.
    pub preshared_key: Option<PresharedKey>,
    /// What it owns.
    pub allowed_ips: Vec<IpNet>,
}

/// What turns the observed interface into the desired one, in the order of application: `narrow`,
/// then the policy's new generation, then `widen`. In between a peer owns only what both the old
/// and the new configuration give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The listen port, first because it is the one change that a host can refuse; then peers that
    /// go and allowed IPs that a remaining peer loses.
    pub narrow: Vec<Change>,
    /// The private key, peers that come, preshared keys, allowed IPs that a peer gains.
    pub widen: Vec<Change>,
}

impl<'a> Desired<'a> {
    /// The interface with this key, port and these peers, each key and prefix once among them.
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
        Ok(Self { private_key, public_key, listen_port, peers })
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty() && self.widen.is_empty()
    }

    /// All changes in the order of application.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.narrow.iter().chain(&self.widen)
    }
}

/// Compares the desired interface with the observed one; `None` is an interface that is yet to be
/// created. A peer whose entry is equal occurs in no change and keeps its session.
pub fn plan(desired: &Desired<'_>, observed: Option<&Device>) -> Plan {
    let mut plan = Plan::default();
    interface(desired, observed, &mut plan);

    let mut unmatched: BTreeMap<PublicKey, &DevicePeer> = observed
        .into_iter()
        .flat_map(|device| &device.peers)
        .map(|peer| (peer.public_key, peer))
        .collect();
    for wanted in &desired.peers {
        match unmatched.remove(&wanted.public_key) {
            None => plan.widen.push(Change::AddPeer(wanted.clone())),
            Some(present) => peer(wanted, present, &mut plan),
        }
    }
    plan.narrow.extend(unmatched.into_keys().map(|public_key| Change::RemovePeer { public_key }));
    plan
}

fn interface(desired: &Desired<'_>, observed: Option<&Device>, plan: &mut Plan) {
    let previous = observed.map(|device| device.listen_port).filter(|&port| port != 0);
    if previous != Some(desired.listen_port) {
        plan.narrow.push(Change::ListenPort { previous, port: desired.listen_port });
    }
    let previous = observed.and_then(|device| device.public_key);
    if previous != Some(desired.public_key) {
        plan.widen.push(Change::PrivateKey { key: desired.private_key.clone(), previous });
    }
}

fn peer(wanted: &DesiredPeer, present: &DevicePeer, plan: &mut Plan) {
    let (name, public_key) = (&wanted.name, wanted.public_key);
    if wanted.preshared_key != present.preshared_key {
        let key = wanted.preshared_key.clone();
        plan.widen.push(Change::PresharedKey { name: name.clone(), public_key, key });
    }
    let (kept, removed): (Vec<IpNet>, Vec<IpNet>) = present
        .allowed_ips
        .iter()
        .partition(|prefix| wanted.allowed_ips.binary_search(prefix).is_ok());
    let added: Vec<IpNet> = wanted
        .allowed_ips
        .iter()
        .copied()
        .filter(|prefix| kept.binary_search(prefix).is_err())
        .collect();
    if !removed.is_empty() {
        let name = name.clone();
        plan.narrow.push(Change::RemoveAllowedIps { name, public_key, removed, kept });
    }
    if !added.is_empty() {
        plan.widen.push(Change::AddAllowedIps { name: name.clone(), public_key, added });
    }
}
