use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;

use crate::RelayHost;

/// `relay mesh status --json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    /// Name of this relay.
    pub relay: String,
    pub agent_running: bool,
    pub drained: bool,
    pub policy_hash: String,
    /// In the order of the configuration.
    pub relays: Vec<RelayStatus>,
    pub unknown_peers: usize,
    pub problems: Vec<String>,
}

/// One relay of the site, as another sees it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayStatus {
    pub name: String,
    pub alive: Option<bool>,
    /// Peers at home there.
    pub peers: usize,
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    /// The rest of what is shown.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl MeshStatus {
    /// Reads it on a relay.
    pub(super) fn read(relay: &RelayHost) -> Result<Self> {
        let text = relay.relay(&["mesh", "status", "--json"])?.success("relay mesh status")?;
        Ok(serde_json::from_str(&text)?)
    }
}
