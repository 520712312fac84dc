//! Counts since a time, from the history.

use std::io::{self, Write};

use relay_common::Reason;
use serde::Serialize;

use super::{
    Dropped, Totals,
    snapshot::Traffic,
    text::{dropped, line, title, traffic},
};
use crate::units::{bytes, packets};

/// What a relay counted in a time: the JSON of `relay stats --since`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Since {
    /// Version of this layout.
    pub schema_version: u32,
    /// Name of the interface.
    pub interface: String,
    /// Where counting begins, as RFC 3339 writes it, in UTC.
    pub since: String,
    /// When the latest sample was taken.
    pub until: String,
    /// Both in the time zone of this host.
    #[serde(skip)]
    pub local: [String; 2],
    /// Sums over all peers.
    pub totals: Totals,
    /// Dropped packets of no known peer.
    pub unattributed: Dropped,
    /// In the order of the configuration; those that it does not name come last.
    pub peers: Vec<SincePeer>,
}

/// What one peer counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SincePeer {
    /// What it is called.
    pub name: String,
    /// Its public key.
    pub public_key: String,
    /// Between it and other peers.
    pub relayed: Traffic,
    /// Between it and the relay itself, or through it beyond the overlay.
    pub host: Traffic,
    /// Dropped packets that it sent.
    pub dropped: Dropped,
}

/// Renders counts since a time in the layout of `relay stats`.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_since_into(out: &mut impl Write, shown: &Since, color: bool) -> io::Result<()> {
    let [since, until] = &shown.local;
    title(out, color, "interface", &shown.interface, "32")?;
    line(out, "counted", &format!("from {since} to {until}"))?;
    let relayed = &shown.totals.relayed;
    line(out, "relayed", &format!("{}, {}", packets(relayed.rx_packets), bytes(relayed.rx_bytes)))?;
    dropped(out, "dropped", &shown.totals.dropped, Reason::COUNT)?;
    if shown.unattributed.total() > 0 {
        dropped(out, "of them unattributed", &shown.unattributed, Reason::COUNT)?;
    }
    for peer in &shown.peers {
        writeln!(out)?;
        title(out, color, "peer", &peer.name, "33")?;
        line(out, "public key", &peer.public_key)?;
        traffic(out, "relayed", &peer.relayed)?;
        if !peer.host.is_none() {
            traffic(out, "relay itself", &peer.host)?;
        }
        dropped(out, "dropped", &peer.dropped, Reason::COUNT)?;
    }
    Ok(())
}
