//! The peers of a configuration, for machines.

use std::fmt::Display;

use serde::Serialize;

use crate::{
    model::{GroupName, InterfaceName, Limits, Quota, Rate, Relay},
    policy::Effective,
};

/// Most AllowedIPs of a client that the list of peers has: with rules for any, ten thousand peers
/// would have ten thousand each.
const LISTED: usize = 1000;

/// The JSON of `relay peer list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerList {
    schema_version: u32,
    interface: String,
    peers: Vec<ListedPeer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedPeer {
    name: String,
    description: Option<String>,
    enabled: bool,
    public_key: String,
    addresses: Vec<String>,
    routes: Vec<String>,
    allowed_ips: Vec<String>,
    /// AllowedIPs of its client; null if they are more than [`LISTED`].
    client_allowed_ips: Option<Vec<String>>,
    limits: ListedLimits,
    groups: Vec<String>,
    persistent_keepalive: u16,
    mtu: u16,
    dns: Vec<String>,
    endpoint: Option<String>,
    own_endpoint: Option<String>,
    /// Peers that it lists and that do not list it; null if there are too many wide lists.
    one_sided: Option<Vec<String>>,
}

/// Limits as the configuration writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedLimits {
    rate_from: Option<String>,
    rate_to: Option<String>,
    quota: Option<String>,
    quota_from: Option<String>,
    quota_to: Option<String>,
}

/// The JSON of `relay peer config --stale`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaleClients {
    schema_version: u32,
    interface: String,
    /// Peers whose configuration has changed since it was last shown.
    pub stale: Vec<String>,
    /// Peers whose configuration was never shown.
    pub never_shown: Vec<String>,
}

impl PeerList {
    /// The peers of a relay. `one_sided` has for each of them the indexes of the peers that do not
    /// list it back.
    pub fn new(relay: &Relay, one_sided: Option<&[Vec<usize>]>) -> Self {
        let name = |index: &usize| relay.peers[*index].name.to_string();
        let groups = groups(relay);
        let mut effective = Effective::of(relay);
        let peers = relay.peers.iter().enumerate().map(|(index, peer)| ListedPeer {
            name: peer.name.to_string(),
            description: peer.description.clone(),
            enabled: peer.enabled,
            public_key: peer.public_key.to_string(),
            addresses: texts(&peer.addresses),
            routes: texts(&peer.routes),
            allowed_ips: texts(&peer.allowed_ips),
            client_allowed_ips: Some(effective.client(index))
                .filter(|list| list.len() <= LISTED)
                .map(|list| texts(&list)),
            limits: ListedLimits::of(&peer.limits),
            groups: groups[index].iter().map(ToString::to_string).collect(),
            persistent_keepalive: peer.persistent_keepalive,
            mtu: peer.mtu,
            dns: texts(&peer.dns),
            endpoint: peer.endpoint.clone().or_else(|| relay.endpoint.clone()),
            own_endpoint: peer.own_endpoint.clone(),
            one_sided: one_sided.map(|all| all[index].iter().map(name).collect()),
        });
        let interface = relay.interface.to_string();
        Self { schema_version: 1, interface, peers: peers.collect() }
    }
}

impl ListedLimits {
    fn of(limits: &Limits) -> Self {
        let rate = |rate: Option<Rate>| rate.map(|rate| rate.to_string());
        let quota = |quota: Option<Quota>| quota.map(|quota| quota.to_string());
        Self {
            rate_from: rate(limits.rate_from),
            rate_to: rate(limits.rate_to),
            quota: quota(limits.quota),
            quota_from: quota(limits.quota_from),
            quota_to: quota(limits.quota_to),
        }
    }
}

impl StaleClients {
    /// Clients of the relay on an interface.
    pub fn new(interface: &InterfaceName, stale: Vec<String>, never_shown: Vec<String>) -> Self {
        Self { schema_version: 1, interface: interface.to_string(), stale, never_shown }
    }
}

/// The groups of each peer, in the order of the configuration.
pub fn groups(relay: &Relay) -> Vec<Vec<&GroupName>> {
    let mut of_peer = vec![Vec::new(); relay.peers.len()];
    for group in &relay.groups {
        group.members.iter().for_each(|&peer| of_peer[peer].push(&group.name));
    }
    of_peer
}

fn texts<T: Display>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
