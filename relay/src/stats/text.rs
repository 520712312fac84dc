//! The layout of `wg show`, with what the programs counted.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use relay_common::{Reason, guard::Outcome};

use super::{
    Dropped, FenceDropped, Guard, Guarded, Snapshot, Unanswered,
    snapshot::{Peer, Traffic},
};
use crate::units::{ago, bytes, packets, span};

/// How text is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colour and weight, for a terminal.
    pub color: bool,
    /// The time from which ages count.
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
    dropped(out, "dropped", &s.totals.dropped, Reason::COUNT)?;
    if s.unattributed.total() > 0 {
        dropped(out, "of them unattributed", &s.unattributed, Reason::COUNT)?;
    }
    fence_dropped(out, &s.fence_dropped)?;
    guard(out, &s.guard)?;
    for peer in &s.peers {
        writeln!(out)?;
        render_peer(out, peer, style)?;
        for quota in s.quotas.iter().filter(|quota| quota.peer == peer.name) {
            line(out, quota.traffic.noun(), &quota.to_string())?;
        }
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
    dropped(out, "dropped", &peer.dropped, Reason::COUNT)
}

fn state_line(peer: &Peer, now: SystemTime) -> String {
    match peer.handshake_age(now) {
        _ if !peer.enabled => "none while it is disabled".to_owned(),
        None => match peer.handshake_ahead(now) {
            None => "never".to_owned(),
            Some(ahead) => {
                let ahead = span(ahead.as_secs());
                format!("{ahead} in the future: this host's clock was set back (unknown)")
            }
        },
        Some(age) => format!("{} ({})", ago(age.as_secs()), peer.presence(now).label()),
    }
}

pub(super) fn traffic(out: &mut impl Write, key: &str, t: &Traffic) -> io::Result<()> {
    let from = format!("{}, {} from it", packets(t.rx_packets), bytes(t.rx_bytes));
    let to = format!("{}, {} to it", packets(t.tx_packets), bytes(t.tx_bytes));
    line(out, key, &format!("{from}; {to}"))
}

/// Dropped packets by reason, most first; beyond `most` reasons their sum.
pub(super) fn dropped(
    out: &mut impl Write,
    key: &str,
    dropped: &Dropped,
    most: usize,
) -> io::Result<()> {
    line(out, key, &most_first(dropped.iter(), most, "0 packets"))
}

/// What the fence dropped, if anything.
pub(super) fn fence_dropped(out: &mut impl Write, dropped: &FenceDropped) -> io::Result<()> {
    if dropped.values().all(|&packets| packets == 0) {
        return Ok(());
    }
    let dropped = dropped.iter().map(|(&label, &packets)| (label, packets));
    line(out, "dropped by the fence", &most_first(dropped, usize::MAX, ""))
}

/// The guard, if it is configured, attached, or ever counted.
pub(super) fn guard(out: &mut impl Write, guard: &Guard) -> io::Result<()> {
    if guard.is_none() {
        return Ok(());
    }
    let on = guard.interfaces.iter().map(|Guarded { interface, attached }| match *attached {
        "none" => format!("{interface} NOT GUARDED"),
        mode => format!("{interface} by {mode}"),
    });
    let on = on.collect::<Vec<_>>().join(", ");
    line(out, "guard", if on.is_empty() { "off" } else { &on })?;
    let messages = |dropped| most_first(guard.messages(dropped), Outcome::COUNT, "0 messages");
    line(out, "passed by the guard", &messages(false))?;
    line(out, "dropped by the guard", &messages(true))?;
    for Unanswered { source, initiations, last_seconds, .. } in &guard.unanswered {
        let plural = if *initiations == 1 { "" } else { "s" };
        let last = ago(*last_seconds);
        line(
            out,
            "no session",
            &format!("{source}, {initiations} initiation{plural}, the last {last}"),
        )?;
    }
    Ok(())
}

/// Counts with labels, most first; beyond `most` their sum; `none` if all are zero.
fn most_first<'a>(counts: impl Iterator<Item = (&'a str, u64)>, most: usize, none: &str) -> String {
    let mut some: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
    if some.is_empty() {
        return none.to_owned();
    }
    some.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (shown, rest) = some.split_at(most.min(some.len()));
    let mut text: Vec<_> = shown.iter().map(|(label, count)| format!("{count} {label}")).collect();
    if !rest.is_empty() {
        let sum: u64 = rest.iter().map(|(_, count)| count).sum();
        text.push(format!("{sum} for {} other reasons", rest.len()));
    }
    text.join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Observation, sample};

    #[test]
    fn a_relay_with_its_peers_and_its_guard() {
        insta::assert_snapshot!(shown(&sample::snapshot()));
    }

    #[test]
    fn the_guard_is_shown_only_if_it_is_configured_or_has_counted() {
        let mut observation = Observation { guard: Vec::new(), ..sample::observation() };
        let text = shown(&Snapshot::new(observation.clone()));
        assert!(text.contains("\n  guard: off\n  passed by the guard: 40 data, 2 "), "{text}");
        observation.guard_messages = [0; Outcome::COUNT];
        let text = shown(&Snapshot::new(observation));
        assert!(!text.contains("guard"), "{text}");
    }

    fn shown(snapshot: &Snapshot) -> String {
        let mut text = Vec::new();
        let style = Style { color: false, now: sample::now() };
        render_text_into(&mut text, snapshot, style).expect("memory is never full");
        String::from_utf8(text).expect("text")
    }
}
