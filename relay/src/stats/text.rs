//! The layout of `wg show`, with what the programs counted.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use relay_common::Reason;

use super::{
    Snapshot,
    snapshot::{Peer, Refused, Traffic},
};
use crate::units::{ago, bytes, packets};

/// How text is shown.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colour and weight, for a terminal.
    pub color: bool,
    /// The time that ages are told from.
    pub now: SystemTime,
}

/// Renders a snapshot.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_text_into(out: &mut impl Write, snapshot: &Snapshot, style: Style) -> io::Result<()> {
    let Style { color, now } = style;
    let s = snapshot;
    title(out, color, "interface", &s.interface, "32")?;
    line(out, "public key", &s.public_key)?;
    line(out, "listening port", &s.listen_port.to_string())?;
    match s.attached.as_str() {
        "none" => line(out, "policy", "NOT ATTACHED: no program decides; run `relay up`")?,
        mode => {
            let policy =
                format!("generation {} ({}), attached by {mode}", s.generation, s.policy_hash);
            line(out, "policy", &policy)?;
        }
    }
    line(out, "peers", &s.attendance(now).to_string())?;
    let relayed = &s.totals.relayed;
    line(out, "relayed", &format!("{}, {}", packets(relayed.rx_packets), bytes(relayed.rx_bytes)))?;
    refused(out, "refused", &s.totals.refused, Reason::COUNT)?;
    if s.unattributed.values().any(|&packets| packets > 0) {
        refused(out, "of them unattributed", &s.unattributed, Reason::COUNT)?;
    }
    for peer in &s.peers {
        writeln!(out)?;
        render_peer(out, peer, style)?;
    }
    Ok(())
}

fn render_peer(out: &mut impl Write, peer: &Peer, style: Style) -> io::Result<()> {
    title(out, style.color, "peer", &peer.name, "33")?;
    line(out, "public key", &peer.public_key)?;
    if !peer.endpoint.is_empty() {
        line(out, "endpoint", &peer.endpoint)?;
    }
    let owned =
        if peer.allowed_ips.is_empty() { "(none)".into() } else { peer.allowed_ips.join(", ") };
    line(out, "allowed ips", &owned)?;
    line(out, "latest handshake", &state_line(peer, style.now))?;
    if peer.transfer_rx + peer.transfer_tx > 0 {
        let (rx, tx) = (bytes(peer.transfer_rx), bytes(peer.transfer_tx));
        line(out, "transfer", &format!("{rx} received, {tx} sent"))?;
    }
    traffic(out, "relayed", &peer.relayed)?;
    if !peer.host.is_none() {
        traffic(out, "relay itself", &peer.host)?;
    }
    refused(out, "refused", &peer.refused, Reason::COUNT)
}

fn state_line(peer: &Peer, now: SystemTime) -> String {
    match peer.handshake_age(now) {
        None => "never".to_owned(),
        Some(age) => format!("{} ({})", ago(age.as_secs()), peer.presence(now).label()),
    }
}

fn traffic(out: &mut impl Write, key: &str, t: &Traffic) -> io::Result<()> {
    let from = format!("{}, {} from it", packets(t.rx_packets), bytes(t.rx_bytes));
    let to = format!("{}, {} to it", packets(t.tx_packets), bytes(t.tx_bytes));
    line(out, key, &format!("{from}; {to}"))
}

/// Refused packets by reason, most first; beyond `most` reasons their sum.
pub(super) fn refused(
    out: &mut impl Write,
    key: &str,
    refused: &Refused,
    most: usize,
) -> io::Result<()> {
    let mut some: Vec<_> = refused.iter().filter(|(_, packets)| **packets > 0).collect();
    some.sort_by_key(|(_, packets)| std::cmp::Reverse(**packets));
    let (shown, rest) = some.split_at(most.min(some.len()));
    let mut text: Vec<_> =
        shown.iter().map(|(label, packets)| format!("{packets} {label}")).collect();
    if !rest.is_empty() {
        let sum: u64 = rest.iter().map(|(_, packets)| **packets).sum();
        text.push(format!("{sum} for {} other reasons", rest.len()));
    }
    line(out, key, if text.is_empty() { "0 packets".to_owned() } else { text.join(", ") }.as_str())
}

pub(super) fn title(
    out: &mut impl Write,
    color: bool,
    noun: &str,
    name: &str,
    code: &str,
) -> io::Result<()> {
    if color {
        writeln!(out, "\x1b[{code}m\x1b[1m{noun}\x1b[0m: \x1b[{code}m{name}\x1b[0m")
    } else {
        writeln!(out, "{noun}: {name}")
    }
}

pub(super) fn line(out: &mut impl Write, key: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {key}: {value}")
}
