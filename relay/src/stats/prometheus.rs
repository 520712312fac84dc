//! Metrics, in the text format of Prometheus and in OpenMetrics.
//!
//! The crate `prometheus-client` writes OpenMetrics only, and the textfile collector of
//! node_exporter reads the older text format only. The two differ in the heads of families, which
//! is less than a registry that would be filled for one rendering.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    io::{self, Write},
    time::SystemTime,
};

use relay_common::PairCounters;

use super::{
    Guard, Pairs, Snapshot,
    snapshot::{Peer, Presence},
};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format, version 0.0.4. It knows no units and no `info`.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// One metric family. In OpenMetrics its name is without the ending of its samples.
struct Family {
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Info,
}

/// A label and its value, escaped when it is shown.
struct Label<'a>(&'static str, &'a str);

/// A counter of each peer: name without the ending, unit, help, and where it is.
type PeerCounter = (&'static str, &'static str, &'static str, fn(&Peer) -> u64);

#[rustfmt::skip]
const PEER_COUNTERS: [PeerCounter; 11] = [
    ("wgrelay_peer_receive_bytes", "bytes", "Bytes of inner IP packets from the peer that were relayed to other peers.", |p| p.relayed.rx_bytes),
    ("wgrelay_peer_receive_packets", "packets", "Packets from the peer that were relayed to other peers.", |p| p.relayed.rx_packets),
    ("wgrelay_peer_transmit_bytes", "bytes", "Bytes of inner IP packets that were relayed to the peer.", |p| p.relayed.tx_bytes),
    ("wgrelay_peer_transmit_packets", "packets", "Packets that were relayed to the peer.", |p| p.relayed.tx_packets),
    ("wgrelay_peer_host_receive_bytes", "bytes", "Bytes of inner IP packets from the peer to the relay itself or beyond the overlay.", |p| p.host.rx_bytes),
    ("wgrelay_peer_host_receive_packets", "packets", "Packets from the peer to the relay itself or beyond the overlay.", |p| p.host.rx_packets),
    ("wgrelay_peer_host_transmit_bytes", "bytes", "Bytes of inner IP packets to the peer from the relay itself or from beyond the overlay.", |p| p.host.tx_bytes),
    ("wgrelay_peer_host_transmit_packets", "packets", "Packets to the peer from the relay itself or from beyond the overlay.", |p| p.host.tx_packets),
    ("wgrelay_peer_wireguard_receive_bytes", "bytes", "Encrypted bytes from the peer, handshakes and keepalives included.", |p| p.transfer_rx),
    ("wgrelay_peer_wireguard_transmit_bytes", "bytes", "Encrypted bytes to the peer, handshakes and keepalives included.", |p| p.transfer_tx),
    ("wgrelay_peer_dropped_packets", "packets", "Packets from the peer that were refused.", |p| p.refused.values().sum()),
];

/// The same of a pair.
type PairCounter = (&'static str, &'static str, &'static str, fn(&PairCounters) -> u64);

const PAIR_COUNTERS: [PairCounter; 2] = [
    ("wgrelay_pair_bytes", "bytes", "Bytes of inner IP packets that were relayed.", |c| c.bytes),
    ("wgrelay_pair_packets", "packets", "Packets that were relayed.", |c| c.packets),
];

/// Renders a snapshot.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_prometheus_into(
    out: &mut impl Write,
    snapshot: &Snapshot,
    format: Exposition,
    now: SystemTime,
) -> io::Result<()> {
    let s = snapshot;
    let interface = Label("interface", &s.interface);
    let names = distinct(&s.peers);
    let peers = || s.peers.iter().zip(&names);
    for (name, unit, help, value) in PEER_COUNTERS {
        let family = Family { name, kind: Kind::Counter, unit: Some(unit), help };
        family.head(out, format)?;
        for (peer, name) in peers() {
            family.sample(out, &[&interface, &Label("peer", name)], value(peer))?;
        }
    }

    let family = Family {
        name: "wgrelay_peer_last_handshake_timestamp_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Unix time of the latest handshake; absent if there was none.",
    };
    family.head(out, format)?;
    for (peer, name) in peers().filter(|(peer, _)| peer.latest_handshake != 0) {
        family.sample(out, &[&interface, &Label("peer", name)], peer.latest_handshake)?;
    }
    let family = Family {
        name: "wgrelay_peer_up",
        kind: Kind::Gauge,
        unit: None,
        help: "1 if the latest handshake is no older than 180 seconds, else 0; absent while the peer is disabled, and where that handshake lies in the future.",
    };
    family.head(out, format)?;
    for (peer, name) in
        peers().filter(|(peer, _)| peer.enabled && peer.handshake_ahead(now).is_none())
    {
        let up = u64::from(peer.presence(now) == Presence::Online);
        family.sample(out, &[&interface, &Label("peer", name)], up)?;
    }
    let family = Family {
        name: "wgrelay_peer_enabled",
        kind: Kind::Gauge,
        unit: None,
        help: "0 if the peer is disabled, else 1.",
    };
    family.head(out, format)?;
    for (peer, name) in peers() {
        family.sample(out, &[&interface, &Label("peer", name)], u64::from(peer.enabled))?;
    }
    let family = Family {
        name: "wgrelay_peer",
        kind: Kind::Info,
        unit: None,
        help: "What identifies the peer, where it is and what it owns.",
    };
    family.head(out, format)?;
    for (peer, name) in peers() {
        let labels = [
            &interface,
            &Label("peer", name),
            &Label("public_key", &peer.public_key),
            &Label("endpoint", &peer.endpoint),
            &Label("allowed_ips", &peer.allowed_ips.join(",")),
        ];
        family.sample(out, &labels, 1)?;
    }

    let family = Family {
        name: "wgrelay_dropped_packets",
        kind: Kind::Counter,
        unit: Some("packets"),
        help: "Refused packets by reason, those that no peer sent included.",
    };
    family.head(out, format)?;
    for (reason, packets) in &s.totals.refused {
        family.sample(out, &[&interface, &Label("reason", reason)], *packets)?;
    }
    let family = Family {
        name: "wgrelay_fence_dropped_packets",
        kind: Kind::Counter,
        unit: Some("packets"),
        help: "Packets that the fence dropped since it was put up, by reason.",
    };
    family.head(out, format)?;
    for (reason, packets) in &s.fence_dropped {
        family.sample(out, &[&interface, &Label("reason", reason)], *packets)?;
    }
    let family = Family {
        name: "wgrelay_policy_generation",
        kind: Kind::Gauge,
        unit: None,
        help: "Number of the policy generation in force; 0 if there is none.",
    };
    family.head(out, format)?;
    family.sample(out, &[&interface], s.generation)?;
    let family = Family {
        name: "wgrelay_policy",
        kind: Kind::Info,
        unit: None,
        help: "Hash of the policy in force and how its programs are attached; absent if there is none.",
    };
    family.head(out, format)?;
    if s.generation != 0 {
        let labels = [&interface, &Label("hash", &s.policy_hash), &Label("attached", &s.attached)];
        family.sample(out, &labels, 1)?;
    }
    guard(out, &s.guard, &interface, format)?;
    format.end(out)
}

/// Renders what pairs have exchanged; the families of [`render_prometheus_into`] are not among them.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_pairs_prometheus_into(
    out: &mut impl Write,
    pairs: &Pairs,
    format: Exposition,
) -> io::Result<()> {
    let interface = Label("interface", pairs.interface());
    for (name, unit, help, value) in PAIR_COUNTERS {
        let family = Family { name, kind: Kind::Counter, unit: Some(unit), help };
        family.head(out, format)?;
        for (from, to, counters) in pairs.rows() {
            let labels = [&interface, &Label("source", from), &Label("destination", to)];
            family.sample(out, &labels, value(&counters))?;
        }
    }
    format.end(out)
}

fn guard(
    out: &mut impl Write,
    guard: &Guard,
    interface: &Label<'_>,
    format: Exposition,
) -> io::Result<()> {
    let family = Family {
        name: "wgrelay_guard",
        kind: Kind::Info,
        unit: None,
        help: "How the guard is attached to an underlay interface, or none.",
    };
    family.head(out, format)?;
    for guarded in &guard.interfaces {
        let underlay = Label("underlay", &guarded.interface);
        let attached = Label("attached", guarded.attached);
        family.sample(out, &[interface, &underlay, &attached], 1)?;
    }
    let family = Family {
        name: "wgrelay_guard_messages",
        kind: Kind::Counter,
        unit: Some("messages"),
        help: "WireGuard messages to the relay's port by what the guard made of them.",
    };
    family.head(out, format)?;
    for (outcome, messages) in &guard.messages {
        family.sample(out, &[interface, &Label("outcome", outcome)], *messages)?;
    }
    Ok(())
}

/// The names of peers, each once: without keys, peers that the configuration does not name are
/// all called alike, and two samples of the same labels are an error.
fn distinct(peers: &[Peer]) -> Vec<String> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    peers
        .iter()
        .map(|Peer { name, .. }| {
            let nth = seen.entry(name.as_str()).and_modify(|nth| *nth += 1).or_insert(1);
            if *nth == 1 { name.clone() } else { format!("{name} {nth}") }
        })
        .collect()
}

impl Exposition {
    fn end(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::OpenMetrics => writeln!(out, "# EOF"),
        }
    }
}

impl Family {
    fn head(&self, out: &mut impl Write, format: Exposition) -> io::Result<()> {
        let Self { name, kind, unit, help } = self;
        let (ending, kind) = match (format, kind) {
            (Exposition::Text, Kind::Counter) => (kind.ending(), "counter"),
            (Exposition::Text, Kind::Gauge | Kind::Info) => (kind.ending(), "gauge"),
            (Exposition::OpenMetrics, Kind::Counter) => ("", "counter"),
            (Exposition::OpenMetrics, Kind::Gauge) => ("", "gauge"),
            (Exposition::OpenMetrics, Kind::Info) => ("", "info"),
        };
        writeln!(out, "# HELP {name}{ending} {help}")?;
        writeln!(out, "# TYPE {name}{ending} {kind}")?;
        match (format, unit) {
            (Exposition::OpenMetrics, Some(unit)) => writeln!(out, "# UNIT {name} {unit}"),
            (Exposition::OpenMetrics, None) | (Exposition::Text, _) => Ok(()),
        }
    }

    fn sample(&self, out: &mut impl Write, labels: &[&Label<'_>], value: u64) -> io::Result<()> {
        write!(out, "{}{}", self.name, self.kind.ending())?;
        for (index, label) in labels.iter().enumerate() {
            write!(out, "{}{label}", if index == 0 { '{' } else { ',' })?;
        }
        writeln!(out, "}} {value}")
    }
}

impl Kind {
    /// What its samples' names end in.
    const fn ending(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Gauge => "",
            Self::Info => "_info",
        }
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value) = self;
        write!(f, "{name}=\"")?;
        for c in value.chars() {
            match c {
                '\\' | '"' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    #[test]
    fn the_text_format_for_prometheus() {
        insta::assert_snapshot!(rendered(&sample::snapshot(), Exposition::Text));
    }

    #[test]
    fn openmetrics_names_units_and_ends() {
        insta::assert_snapshot!(rendered(&sample::snapshot(), Exposition::OpenMetrics));
    }

    #[test]
    fn pairs_are_families_of_their_own() {
        let counted = |packets, bytes| PairCounters { packets, bytes };
        let pairs = [("a".to_owned(), "b".to_owned(), counted(3, 252))];
        let pairs = Pairs::new("relay0", pairs, counted(7, 700));
        let mut text = Vec::new();
        render_pairs_prometheus_into(&mut text, &pairs, Exposition::OpenMetrics)
            .expect("memory is never full");
        insta::assert_snapshot!(String::from_utf8(text).expect("text"));
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        assert_eq!(Label("a", "b\"c\\d\ne").to_string(), r#"a="b\"c\\d\ne""#);
        assert_eq!(Label("a", "\\\\\"").to_string(), r#"a="\\\\\"""#);
    }

    #[test]
    fn peers_of_one_name_do_not_share_a_sample() {
        let mut snapshot = sample::snapshot();
        for peer in &mut snapshot.peers {
            peer.name = "(hidden)".to_owned();
        }
        let text = rendered(&snapshot, Exposition::Text);
        assert!(text.contains("wgrelay_peer_up{interface=\"relay0\",peer=\"(hidden)\"} 1\n"));
        assert!(text.contains("wgrelay_peer_up{interface=\"relay0\",peer=\"(hidden) 2\"} 0\n"));
    }

    /// What `promtool check metrics` and a parser of OpenMetrics would refuse.
    #[test]
    fn every_sample_follows_the_head_of_its_family() {
        for format in [Exposition::Text, Exposition::OpenMetrics] {
            let text = rendered(&sample::snapshot(), format);
            let mut family = ("", "");
            let mut families = Vec::new();
            for line in text.lines().filter(|line| *line != "# EOF") {
                if let Some(head) = line.strip_prefix("# TYPE ") {
                    family = head.split_once(' ').expect("a kind");
                    assert!(!families.contains(&family), "{line}: a family stands once");
                    families.push(family);
                } else if let Some(head) = line.strip_prefix("# UNIT ") {
                    let (name, unit) = head.split_once(' ').expect("a unit");
                    assert_eq!(name, family.0);
                    assert!(name.ends_with(&format!("_{unit}")), "{line}");
                } else if !line.starts_with("# HELP ") {
                    let name = line.split('{').next().expect("a name");
                    let ending = name.strip_prefix(family.0).expect("its family's name");
                    let expected = match (format, family.1) {
                        (Exposition::OpenMetrics, "counter") => "_total",
                        (Exposition::OpenMetrics, "info") => "_info",
                        (_, _) => "",
                    };
                    assert_eq!(ending, expected, "{line}");
                }
            }
        }
    }

    fn rendered(snapshot: &Snapshot, format: Exposition) -> String {
        let mut text = Vec::new();
        render_prometheus_into(&mut text, snapshot, format, sample::now())
            .expect("memory is never full");
        String::from_utf8(text).expect("text")
    }
}
