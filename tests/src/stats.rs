//! The JSON that `relay` prints.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub schema_version: u32,
    pub interface: String,
    /// The relay's public key, base64.
    pub public_key: String,
    /// UDP port on the underlay.
    pub listen_port: u16,
    /// Number of the policy in force.
    pub generation: u64,
    /// Fingerprint of the policy in force.
    pub policy_hash: String,
    /// How the programs are attached: `tcx`, `netlink` or `none`.
    pub attached: String,
    pub peers: Vec<PeerStats>,
    /// Dropped packets that belong to no peer, by reason.
    pub unattributed: BTreeMap<String, u64>,
    pub totals: Totals,
    /// The guard, if there is one.
    pub guard: Guard,
}

/// The guard in `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Interfaces where it is attached or should be.
    pub interfaces: Vec<Guarded>,
    /// Messages by outcome.
    pub messages: BTreeMap<String, u64>,
}

/// One interface of the underlay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    pub interface: String,
    /// `driver`, `generic` or `none`.
    pub attached: String,
}

/// A peer in `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStats {
    pub name: String,
    /// Its public key, base64.
    pub public_key: String,
    /// `false` for a disabled peer.
    pub enabled: bool,
    /// Its endpoint; empty if unknown.
    pub endpoint: String,
    /// The addresses that it owns.
    pub allowed_ips: Vec<String>,
    /// Seconds since 1970; 0 is never.
    pub latest_handshake: u64,
    /// Bytes of encrypted packets from it, as in `wg show transfer`.
    pub transfer_rx: u64,
    /// Bytes of encrypted packets to it.
    pub transfer_tx: u64,
    /// Seconds; 0 is off.
    pub persistent_keepalive: u16,
    /// Traffic with other peers.
    pub relayed: Directions,
    /// Traffic with the relay itself.
    pub host: Directions,
    /// Its dropped packets, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// Both directions, seen from the relay. Bytes are those of inner IP packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directions {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
}

/// The sums of `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    pub relayed: Directions,
    pub host: Directions,
    /// Over all peers and packets that belong to none.
    pub dropped: BTreeMap<String, u64>,
}

/// `relay up --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpReport {
    pub schema_version: u32,
    pub interface: String,
    pub changed: bool,
    pub changes: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
}

impl Stats {
    /// The peer of this name.
    pub fn peer(&self, name: &str) -> Option<&PeerStats> {
        self.peers.iter().find(|peer| peer.name == name)
    }
}
