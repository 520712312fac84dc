use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Change, Desired, DesiredPeer, Device, DevicePeer};
use crate::model::PublicKey;

/// The changes from the observed to the desired interface. `narrow` is applied before the policy's new
/// generation, `widen` after it. In between a peer owns only what both the old and the new configuration
/// give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The listen port, first because only this change can fail on a host; removed peers; removed allowed
    /// IPs of remaining peers.
    pub narrow: Vec<Change>,
    /// The private key; added peers; preshared keys; added allowed IPs; endpoints.
    pub widen: Vec<Change>,
}

impl Plan {
    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty() && self.widen.is_empty()
    }

    /// All changes in the order of application.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.narrow.iter().chain(&self.widen)
    }
}

/// Compares the desired interface with the observed one, or with a new interface for `None`. An
/// unchanged peer is in no change, so that it keeps its session.
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
            None => {
                plan.widen.push(Change::AddPeer(wanted.clone()));
                endpoint(desired, wanted, &mut plan);
                keepalive(wanted, None, &mut plan);
            }
            Some(present) => {
                peer(wanted, present, &mut plan);
                if present.endpoint.is_none() {
                    endpoint(desired, wanted, &mut plan);
                }
                keepalive(wanted, present.persistent_keepalive, &mut plan);
            }
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

fn endpoint(desired: &Desired<'_>, peer: &DesiredPeer, plan: &mut Plan) {
    let (name, public_key) = (&peer.name, peer.public_key);
    let endpoint = desired.endpoints.get(&public_key);
    let change = |&endpoint| Change::Endpoint { name: name.clone(), public_key, endpoint };
    plan.widen.extend(endpoint.map(change));
}

/// After the endpoint: where there is none, nothing is sent.
fn keepalive(peer: &DesiredPeer, present: Option<u16>, plan: &mut Plan) {
    if let Some(seconds) = peer.keepalive.filter(|wanted| *wanted != present.unwrap_or(0)) {
        let (name, public_key) = (peer.name.clone(), peer.public_key);
        plan.widen.push(Change::Keepalive { name, public_key, seconds });
    }
}

#[cfg(test)]
mod tests;
