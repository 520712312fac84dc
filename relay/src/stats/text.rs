//! The layout of `wg show`, with what the programs counted.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Snapshot,
    snapshot::{Peer, Refused, Traffic},
    units::{ago, bytes, packets},
};

/// How text is shown.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colour and weight, for a terminal.
    pub color: bool,
    /// The time that ages are told from.
    pub now: SystemTime,
}

/// A handshake is fresh for as long as its session may be used: REJECT_AFTER_TIME (WireGuard
/// paper, section 6.1).
const ONLINE: Duration = Duration::from_secs(180);

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
        "none" => line(out, "policy", "NOT ATTACHED: nothing is relayed; run `relay up`")?,
        mode => {
            let policy =
                format!("generation {} ({}), attached by {mode}", s.generation, s.policy_hash);
            line(out, "policy", &policy)?;
        }
    }
    let online = s.peers.iter().filter(|peer| state(peer, now) == "online").count();
    let never = s.peers.iter().filter(|peer| peer.latest_handshake == 0).count();
    let offline = s.peers.len() - online - never;
    line(out, "peers", &format!("{online} online, {offline} offline, {never} never seen"))?;
    let relayed = &s.totals.relayed;
    line(out, "relayed", &format!("{}, {}", packets(relayed.rx_packets), bytes(relayed.rx_bytes)))?;
    refused(out, "refused", &s.totals.refused)?;
    if s.unattributed.values().any(|&packets| packets > 0) {
        refused(out, "of them unattributed", &s.unattributed)?;
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
    refused(out, "refused", &peer.refused)
}

fn state(peer: &Peer, now: SystemTime) -> &'static str {
    match age(peer, now) {
        None => "never seen",
        Some(age) if age <= ONLINE => "online",
        Some(_) => "offline",
    }
}

fn state_line(peer: &Peer, now: SystemTime) -> String {
    match age(peer, now) {
        None => "never".to_owned(),
        Some(age) => format!("{} ({})", ago(age.as_secs()), state(peer, now)),
    }
}

/// Age of the latest handshake; one that the clock puts in the future is new.
fn age(peer: &Peer, now: SystemTime) -> Option<Duration> {
    let at = UNIX_EPOCH + Duration::from_secs(peer.latest_handshake);
    (peer.latest_handshake != 0).then(|| now.duration_since(at).unwrap_or_default())
}

fn traffic(out: &mut impl Write, key: &str, t: &Traffic) -> io::Result<()> {
    let from = format!("{}, {} from it", packets(t.rx_packets), bytes(t.rx_bytes));
    let to = format!("{}, {} to it", packets(t.tx_packets), bytes(t.tx_bytes));
    line(out, key, &format!("{from}; {to}"))
}

fn refused(out: &mut impl Write, key: &str, refused: &Refused) -> io::Result<()> {
    let mut some: Vec<_> = refused.iter().filter(|(_, packets)| **packets > 0).collect();
    some.sort_by_key(|(_, packets)| std::cmp::Reverse(**packets));
    let text: Vec<_> = some.iter().map(|(label, packets)| format!("{packets} {label}")).collect();
    line(out, key, if text.is_empty() { "0 packets".to_owned() } else { text.join(", ") }.as_str())
}

fn title(out: &mut impl Write, color: bool, noun: &str, name: &str, code: &str) -> io::Result<()> {
    if color {
        writeln!(out, "\x1b[{code}m\x1b[1m{noun}\x1b[0m: \x1b[{code}m{name}\x1b[0m")
    } else {
        writeln!(out, "{noun}: {name}")
    }
}

fn line(out: &mut impl Write, key: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {key}: {value}")
}
