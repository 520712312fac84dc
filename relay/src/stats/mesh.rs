//! The relays of a site, as one of them sees them.

use std::io::{self, Write};

use serde::Serialize;

use super::{columns::columns, snapshot::Traffic};
use crate::units::bytes;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// A site of relays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    schema_version: u32,
    /// Interface of this relay.
    pub interface: String,
    /// Name of this relay.
    pub relay: String,
    /// Whether the agent runs, and tells the others who is at home here.
    pub agent_running: bool,
    /// Whether this relay asks for its peers to be taken over.
    pub drained: bool,
    /// Hash of this relay's policy: equal on relays with equal configurations.
    pub policy_hash: String,
    /// The relays in the order of the configuration.
    pub relays: Vec<MeshRelayStatus>,
    /// Peers that no relay has heard of.
    pub unknown_peers: usize,
    /// What the agent took from no relay, by reason.
    pub ignored: Vec<Ignored>,
    /// What is wrong, each with a remedy.
    pub problems: Vec<String>,
}

/// One relay of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshRelayStatus {
    /// Its name.
    pub name: String,
    /// Whether it is this one.
    pub own: bool,
    /// The interface of the tunnel to it.
    pub interface: Option<String>,
    /// Where it is reached.
    pub endpoint: Option<String>,
    /// Age of the tunnel's latest handshake, seconds.
    pub handshake_age_seconds: Option<u64>,
    /// Whether its agent answers; nothing without an agent here.
    pub alive: Option<bool>,
    /// Since when nothing was heard of it, milliseconds.
    pub heard_age_milliseconds: Option<u64>,
    /// Time until its agent's answer, microseconds.
    pub delay_microseconds: Option<u64>,
    /// Hash of its policy.
    pub policy_hash: Option<String>,
    /// Peers at home there, as this relay knows.
    pub peers: usize,
    /// What came from it, and what went to it.
    #[serde(flatten)]
    pub transit: Traffic,
}

/// Messages of gossip that were ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl MeshStatus {
    /// That of a relay of a site; the rest is for the caller to fill in.
    pub fn new(interface: &str, relay: &str) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            interface: interface.to_owned(),
            relay: relay.to_owned(),
            agent_running: false,
            drained: false,
            policy_hash: String::new(),
            relays: Vec::new(),
            unknown_peers: 0,
            ignored: Vec::new(),
            problems: Vec::new(),
        }
    }
}

impl MeshRelayStatus {
    fn state(&self) -> &'static str {
        match (self.own, self.alive) {
            (true, _) => "this relay",
            (false, Some(true)) => "alive",
            (false, Some(false)) => "silent",
            (false, None) => "unknown",
        }
    }
}

/// Renders a line for each relay, in columns, and what is wrong.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_mesh_into(out: &mut impl Write, shown: &MeshStatus) -> io::Result<()> {
    let head = [
        "relay",
        "state",
        "policy",
        "peers",
        "heard",
        "delay",
        "handshake",
        "rx packets",
        "rx",
        "tx packets",
        "tx",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let dash = || "-".to_owned();
    rows.extend(shown.relays.iter().map(|relay| {
        let policy = match &relay.policy_hash {
            Some(hash) if *hash == shown.policy_hash => "same",
            Some(_) => "differs",
            None if relay.own => "same",
            None => "unknown",
        };
        let heard = relay.heard_age_milliseconds;
        let delay = relay.delay_microseconds;
        let count = |count: u64| if relay.own { dash() } else { count.to_string() };
        let size = |size| if relay.own { dash() } else { bytes(size) };
        [
            relay.name.clone(),
            relay.state().to_owned(),
            policy.to_owned(),
            relay.peers.to_string(),
            heard.map_or_else(dash, |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100)),
            delay.map_or_else(dash, |us| format!("{}.{} ms", us / 1000, us % 1000 / 100)),
            relay.handshake_age_seconds.map_or_else(dash, |seconds| format!("{seconds} s")),
            count(relay.transit.rx_packets),
            size(relay.transit.rx_bytes),
            count(relay.transit.tx_packets),
            size(relay.transit.tx_bytes),
        ]
    }));
    columns(out, &rows, 3)?;
    if shown.unknown_peers > 0 {
        writeln!(out, "\n{} peers were not heard of on any relay", shown.unknown_peers)?;
    }
    if shown.drained {
        writeln!(
            out,
            "\nthis relay asks for its peers to be taken over; `relay drain --undo` ends it"
        )?;
    }
    for ignored in &shown.ignored {
        writeln!(out, "\nignored: {} of {}", ignored.count, ignored.reason)?;
    }
    for problem in &shown.problems {
        writeln!(out, "\nproblem: {problem}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> MeshStatus {
        let own =
            MeshRelayStatus { name: "fra1".to_owned(), own: true, peers: 41, ..Default::default() };
        let other = MeshRelayStatus {
            name: "fra2".to_owned(),
            interface: Some("relay0-fra2".to_owned()),
            endpoint: Some("192.0.2.12:51830".to_owned()),
            handshake_age_seconds: Some(12),
            alive: Some(true),
            heard_age_milliseconds: Some(130),
            delay_microseconds: Some(640),
            policy_hash: Some("aa".to_owned()),
            peers: 3,
            transit: Traffic { rx_packets: 7, rx_bytes: 4096, tx_packets: 9, tx_bytes: 8192 },
            ..Default::default()
        };
        let silent = MeshRelayStatus {
            name: "fra3".to_owned(),
            alive: Some(false),
            policy_hash: Some("bb".to_owned()),
            ..Default::default()
        };
        MeshStatus {
            agent_running: true,
            policy_hash: "aa".to_owned(),
            relays: vec![own, other, silent],
            unknown_peers: 2,
            ignored: vec![Ignored { reason: "stranger".to_owned(), count: 4 }],
            problems: vec!["transit to fra3 is down".to_owned()],
            ..MeshStatus::new("relay0", "fra1")
        }
    }

    #[test]
    fn relays_are_lines_of_a_table() {
        let mut text = Vec::new();
        render_mesh_into(&mut text, &site()).expect("a Vec takes everything");
        insta::assert_snapshot!(String::from_utf8(text).expect("UTF-8"));
    }

    #[test]
    fn its_json_is_as_the_schema_says() {
        let schema = include_str!("../../../docs/mesh.schema.json");
        let schema = serde_json::from_str(schema).expect("a schema");
        for status in [site(), MeshStatus::new("relay0", "fra1")] {
            let json = serde_json::to_value(status).expect("numbers and names");
            jsonschema::validate(&schema, &json).expect("as the schema says");
        }
    }
}
