//! What `relay` prints as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Version of this shape.
    pub schema_version: u32,
    /// The WireGuard interface.
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
    /// The peers.
    pub peers: Vec<PeerStats>,
    /// Refused packets that belong to no peer, by reason.
    pub unattributed: BTreeMap<String, u64>,
    /// Sums.
    pub totals: Totals,
    /// What stands before all of it.
    pub guard: Guard,
}

/// The guard in `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Where it is, or is wanted.
    pub interfaces: Vec<Guarded>,
    /// Messages by outcome.
    pub messages: BTreeMap<String, u64>,
}

/// One interface of the underlay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    /// Its name.
    pub interface: String,
    /// `driver`, `generic` or `none`.
    pub attached: String,
}

/// A peer in `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStats {
    /// Its name.
    pub name: String,
    /// Its public key, base64.
    pub public_key: String,
    /// `false` for one that is switched off.
    pub enabled: bool,
    /// Where it was last heard from; empty if never.
    pub endpoint: String,
    /// What it owns.
    pub allowed_ips: Vec<String>,
    /// Seconds since 1970; 0 is never.
    pub latest_handshake: u64,
    /// Bytes of encrypted packets from it, as `wg show transfer` has them.
    pub transfer_rx: u64,
    /// Bytes of encrypted packets to it.
    pub transfer_tx: u64,
    /// Seconds; 0 is off.
    pub persistent_keepalive: u16,
    /// To and from other peers.
    pub relayed: Directions,
    /// To and from the relay itself.
    pub host: Directions,
    /// Packets of it that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Both directions, seen from the relay. Bytes are those of inner IP packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directions {
    /// Packets from the peer.
    pub rx_packets: u64,
    /// Bytes from the peer.
    pub rx_bytes: u64,
    /// Packets to the peer.
    pub tx_packets: u64,
    /// Bytes to the peer.
    pub tx_bytes: u64,
}

/// The sums of `relay stats --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Over all peers.
    pub relayed: Directions,
    /// Over all peers.
    pub host: Directions,
    /// Over all peers and what belongs to none.
    pub refused: BTreeMap<String, u64>,
}

/// `relay up --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpReport {
    /// Version of this shape.
    pub schema_version: u32,
    /// The WireGuard interface.
    pub interface: String,
    /// Whether anything was changed.
    pub changed: bool,
    /// The changes, one a line.
    pub changes: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Stats {
    /// The peer of this name.
    pub fn peer(&self, name: &str) -> Option<&PeerStats> {
        self.peers.iter().find(|peer| peer.name == name)
    }
}
