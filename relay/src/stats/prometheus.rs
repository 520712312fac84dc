//! The metric families, one row each.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    time::SystemTime,
};

use relay_common::{PairCounters, counters::RuleCounters};

use super::{
    Pairs, QuotaUse, RuleTraffic, Snapshot,
    exposition::{Exposition, Family, Label},
    snapshot::{Peer, Presence},
};

/// Labels and a value.
type Sample<'a> = (Vec<Label<'a>>, u64);

/// The samples of a family.
enum Samples {
    /// One for each peer that has a value at the time of the rendering.
    Peers(fn(&Peer, SystemTime) -> Option<u64>),
    /// One for each peer, 1, with labels that identify it.
    PeerInfo,
    /// Each with labels of its own.
    Relay(fn(&Snapshot) -> Vec<Sample<'_>>),
}

/// The families of a snapshot, in the order of the rendering.
#[rustfmt::skip]
const FAMILIES: &[(Family, Samples)] = &[
    (Family::counter("wgrelay_peer_receive_bytes", "bytes", "Bytes of inner IP packets from the peer that were relayed to other peers."),
        Samples::Peers(|p, _| Some(p.relayed.rx_bytes))),
    (Family::counter("wgrelay_peer_receive_packets", "packets", "Packets from the peer that were relayed to other peers."),
        Samples::Peers(|p, _| Some(p.relayed.rx_packets))),
    (Family::counter("wgrelay_peer_transmit_bytes", "bytes", "Bytes of inner IP packets that were relayed to the peer."),
        Samples::Peers(|p, _| Some(p.relayed.tx_bytes))),
    (Family::counter("wgrelay_peer_transmit_packets", "packets", "Packets that were relayed to the peer."),
        Samples::Peers(|p, _| Some(p.relayed.tx_packets))),
    (Family::counter("wgrelay_peer_host_receive_bytes", "bytes", "Bytes of inner IP packets from the peer to the relay itself or beyond the overlay."),
        Samples::Peers(|p, _| Some(p.host.rx_bytes))),
    (Family::counter("wgrelay_peer_host_receive_packets", "packets", "Packets from the peer to the relay itself or beyond the overlay."),
        Samples::Peers(|p, _| Some(p.host.rx_packets))),
    (Family::counter("wgrelay_peer_host_transmit_bytes", "bytes", "Bytes of inner IP packets to the peer from the relay itself or from beyond the overlay."),
        Samples::Peers(|p, _| Some(p.host.tx_bytes))),
    (Family::counter("wgrelay_peer_host_transmit_packets", "packets", "Packets to the peer from the relay itself or from beyond the overlay."),
        Samples::Peers(|p, _| Some(p.host.tx_packets))),
    (Family::counter("wgrelay_peer_wireguard_receive_bytes", "bytes", "Encrypted bytes from the peer, handshakes and keepalives included."),
        Samples::Peers(|p, _| Some(p.transfer_rx))),
    (Family::counter("wgrelay_peer_wireguard_transmit_bytes", "bytes", "Encrypted bytes to the peer, handshakes and keepalives included."),
        Samples::Peers(|p, _| Some(p.transfer_tx))),
    (Family::counter("wgrelay_peer_dropped_packets", "packets", "Packets from the peer that were dropped."),
        Samples::Peers(|p, _| Some(p.dropped.total()))),
    (Family::gauge("wgrelay_peer_last_handshake_timestamp_seconds", Some("seconds"), "Unix time of the latest handshake; absent if there was none."),
        Samples::Peers(|p, _| (p.latest_handshake != 0).then_some(p.latest_handshake))),
    (Family::gauge("wgrelay_peer_up", None, "1 if the latest handshake is no older than 180 seconds, else 0; absent while the peer is disabled, and if that handshake is in the future."),
        Samples::Peers(up)),
    (Family::gauge("wgrelay_peer_enabled", None, "0 if the peer is disabled, else 1."),
        Samples::Peers(|p, _| Some(u64::from(p.enabled)))),
    (Family::info("wgrelay_peer", "Key and allowed IPs of the peer."),
        Samples::PeerInfo),
    (Family::gauge("wgrelay_peer_quota_used_bytes", Some("bytes"), "Bytes that count against a quota of the peer in this period: of both directions, or from or to it."),
        Samples::Relay(|s| quotas(s, |quota| quota.used_bytes))),
    (Family::gauge("wgrelay_peer_quota_limit_bytes", Some("bytes"), "Most bytes of that quota in a period."),
        Samples::Relay(|s| quotas(s, |quota| quota.limit_bytes))),
    (Family::counter("wgrelay_dropped_packets", "packets", "Dropped packets by reason, unattributed ones included."),
        Samples::Relay(|s| by("reason", s.totals.dropped.iter()))),
    (Family::counter("wgrelay_fence_dropped_packets", "packets", "Packets that the fence dropped since it was put up, by reason."),
        Samples::Relay(|s| by("reason", labelled(&s.fence_dropped)))),
    (Family::gauge("wgrelay_policy_generation", None, "Number of the policy generation in force; 0 if there is none."),
        Samples::Relay(|s| vec![(Vec::new(), s.generation)])),
    (Family::info("wgrelay_policy", "Hash of the policy in force and how its programs are attached; absent if there is none."),
        Samples::Relay(policy)),
    (Family::info("wgrelay_guard", "How the guard is attached to an underlay interface, or none."),
        Samples::Relay(guard)),
    (Family::counter("wgrelay_guard_messages", "messages", "WireGuard messages to the relay's port, by the guard's verdict."),
        Samples::Relay(|s| by("outcome", labelled(&s.guard.messages)))),
];

/// A counter of a pair of peers.
type PairCount = fn(&PairCounters) -> u64;

/// The families of a pair of peers.
#[rustfmt::skip]
const PAIR_FAMILIES: &[(Family, PairCount)] = &[
    (Family::counter("wgrelay_pair_bytes", "bytes", "Bytes of inner IP packets that were relayed."),
        |c| c.bytes),
    (Family::counter("wgrelay_pair_packets", "packets", "Packets that were relayed."),
        |c| c.packets),
];

/// A count of a rule.
type RuleCount = fn(&RuleCounters) -> u64;

/// The families of a rule.
#[rustfmt::skip]
const RULE_FAMILIES: &[(Family, RuleCount)] = &[
    (Family::counter("wgrelay_rule_flows", "flows", "Flows that began by the rule."),
        |c| c.flows),
    (Family::counter("wgrelay_rule_bytes", "bytes", "Bytes of inner IP packets that were relayed."),
        |c| c.bytes),
    (Family::counter("wgrelay_rule_packets", "packets", "Packets that were relayed."),
        |c| c.packets),
];

/// When a rule was used.
const LAST_USE: Family = Family::gauge(
    "wgrelay_rule_last_use_timestamp_seconds",
    Some("seconds"),
    "Unix time of the latest packet that the rule let through; absent if there was none.",
);

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
    relay_families(out, snapshot, format, now)?;
    format.end(out)
}

/// The families of a snapshot.
pub(super) fn relay_families(
    out: &mut impl Write,
    snapshot: &Snapshot,
    format: Exposition,
    now: SystemTime,
) -> io::Result<()> {
    let interface = Label("interface", &snapshot.interface);
    let names = distinct(snapshot.peers.iter().map(|peer| peer.name.as_str()));
    let peers = || snapshot.peers.iter().zip(&names);
    for (family, samples) in FAMILIES {
        family.head(out, format)?;
        match samples {
            Samples::Peers(value) => {
                for (peer, name) in peers() {
                    if let Some(value) = value(peer, now) {
                        family.sample(out, [interface, Label("peer", name)], value)?;
                    }
                }
            }
            Samples::PeerInfo => {
                for (peer, name) in peers() {
                    let allowed_ips = peer.allowed_ips.join(",");
                    let labels = [
                        interface,
                        Label("peer", name),
                        Label("public_key", &peer.public_key),
                        Label("allowed_ips", &allowed_ips),
                    ];
                    family.sample(out, labels, 1)?;
                }
            }
            Samples::Relay(samples) => {
                for (labels, value) in samples(snapshot) {
                    family.sample(out, [interface].into_iter().chain(labels), value)?;
                }
            }
        }
    }
    Ok(())
}

/// Renders the traffic of pairs, without the families of [`render_prometheus_into`].
///
/// # Errors
/// `out` cannot be written to.
pub fn render_pairs_prometheus_into(
    out: &mut impl Write,
    pairs: &Pairs,
    format: Exposition,
) -> io::Result<()> {
    pair_families(out, pairs, format)?;
    format.end(out)
}

/// The families of pairs.
pub(super) fn pair_families(
    out: &mut impl Write,
    pairs: &Pairs,
    format: Exposition,
) -> io::Result<()> {
    let interface = Label("interface", pairs.interface());
    for (family, value) in PAIR_FAMILIES {
        family.head(out, format)?;
        for (from, to, counters) in pairs.rows() {
            let labels = [interface, Label("source", from), Label("destination", to)];
            family.sample(out, labels, value(&counters))?;
        }
    }
    Ok(())
}

/// Renders the traffic of rules, without the families of [`render_prometheus_into`].
///
/// # Errors
/// `out` cannot be written to.
pub fn render_rules_prometheus_into(
    out: &mut impl Write,
    rules: &RuleTraffic,
    format: Exposition,
) -> io::Result<()> {
    rule_families(out, rules, format)?;
    format.end(out)
}

/// The families of rules.
pub(super) fn rule_families(
    out: &mut impl Write,
    rules: &RuleTraffic,
    format: Exposition,
) -> io::Result<()> {
    let interface = Label("interface", rules.interface());
    for (family, value) in RULE_FAMILIES {
        family.head(out, format)?;
        for (rule, counters) in rules.rows() {
            family.sample(out, [interface, Label("rule", rule)], value(&counters))?;
        }
    }
    LAST_USE.head(out, format)?;
    for (rule, last) in rules.last_uses() {
        LAST_USE.sample(out, [interface, Label("rule", rule)], last)?;
    }
    Ok(())
}

fn up(peer: &Peer, now: SystemTime) -> Option<u64> {
    match peer.presence(now) {
        Presence::Online => Some(1),
        Presence::Offline | Presence::NeverSeen => Some(0),
        Presence::Disabled | Presence::Unknown => None,
    }
}

fn by<'s>(
    label: &'static str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> Vec<Sample<'s>> {
    counts.map(|(value, count)| (vec![Label(label, value)], count)).collect()
}

fn labelled(counts: &BTreeMap<&'static str, u64>) -> impl Iterator<Item = (&'static str, u64)> {
    counts.iter().map(|(&label, &count)| (label, count))
}

fn policy(snapshot: &Snapshot) -> Vec<Sample<'_>> {
    let labels = vec![Label("hash", &snapshot.policy_hash), Label("attached", &snapshot.attached)];
    if snapshot.generation == 0 { Vec::new() } else { vec![(labels, 1)] }
}

fn quotas(snapshot: &Snapshot, value: fn(&QuotaUse) -> u64) -> Vec<Sample<'_>> {
    let mut samples = Vec::new();
    for quota in &snapshot.quotas {
        let QuotaUse { peer, traffic, period, .. } = quota;
        let labels =
            vec![Label("peer", peer), Label("traffic", traffic.label()), Label("period", period)];
        samples.push((labels, value(quota)));
    }
    samples
}

fn guard(snapshot: &Snapshot) -> Vec<Sample<'_>> {
    let guarded = snapshot.guard.interfaces.iter();
    let labels = guarded.map(|guarded| {
        vec![Label("underlay", &guarded.interface), Label("attached", guarded.attached)]
    });
    labels.map(|labels| (labels, 1)).collect()
}

/// Distinct forms of names. Without keys, peers that are not in the configuration share one name,
/// and two samples with equal labels are an error.
pub(super) fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    names
        .into_iter()
        .map(|name| {
            let nth = seen.entry(name).and_modify(|nth| *nth += 1).or_insert(1);
            if *nth == 1 { name.to_owned() } else { format!("{name} {nth}") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{RuleUse, sample};

    #[test]
    fn the_text_format_for_prometheus() {
        insta::assert_snapshot!(rendered(&sample::snapshot(), Exposition::Text));
    }

    #[test]
    fn openmetrics_has_units_and_an_end() {
        insta::assert_snapshot!(rendered(&sample::snapshot(), Exposition::OpenMetrics));
    }

    #[test]
    fn the_metrics_of_pairs() {
        let counted = |packets, bytes| PairCounters { packets, bytes };
        let pairs = [("a".to_owned(), "b".to_owned(), counted(3, 252))];
        let pairs = Pairs::new("relay0", pairs, counted(7, 700));
        let mut text = Vec::new();
        render_pairs_prometheus_into(&mut text, &pairs, Exposition::OpenMetrics)
            .expect("memory is never full");
        insta::assert_snapshot!(String::from_utf8(text).expect("text"));
    }

    #[test]
    fn the_metrics_of_rules() {
        let counters = RuleCounters { flows: 1, packets: 3, bytes: 252, ..RuleCounters::default() };
        let last = Some(("2030-12-31T18:00:00Z".to_owned(), 1_924_970_400));
        let rules = [("ops-ssh".to_owned(), RuleUse { counters, last })];
        let rules = RuleTraffic::new("relay0", rules);
        let mut text = Vec::new();
        render_rules_prometheus_into(&mut text, &rules, Exposition::OpenMetrics)
            .expect("memory is never full");
        insta::assert_snapshot!(String::from_utf8(text).expect("text"));
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

    fn rendered(snapshot: &Snapshot, format: Exposition) -> String {
        let mut text = Vec::new();
        render_prometheus_into(&mut text, snapshot, format, sample::now())
            .expect("memory is never full");
        String::from_utf8(text).expect("text")
    }
}
