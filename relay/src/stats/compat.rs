//! Metrics under the names of two other exporters, so that dashboards made for them go on working:
//!
//! - mdlayher/wireguard_exporter (`collector.go`, commit c67c6d6): `wireguard_device_…` and
//!   `wireguard_peer_…`, with the labels `device` and `public_key`.
//! - MindFlavor/prometheus_wireguard_exporter 3.6 (`src/wireguard.rs`, commit 2d82a9c):
//!   `wireguard_sent_bytes`, `wireguard_received_bytes`, `wireguard_latest_handshake_seconds`, with
//!   the labels `interface`, `public_key`, `allowed_ips` and `friendly_name`.
//!
//! No name is used by both. All counts are those of WireGuard: encrypted bytes. Both read the
//! kernel, so a disabled peer is not there.

use std::io::{self, Write};

use super::{
    Exposition, Snapshot,
    exposition::{Family, Label},
    prometheus::distinct,
    snapshot::Peer,
};

/// What a peer is called in these metrics.
struct Names<'a> {
    interface: &'a str,
    public_key: String,
    /// What the configuration calls it; empty if it does not.
    name: &'a str,
    allowed_ips: String,
}

/// Labels and a value.
type Sample<'a> = (Vec<Label<'a>>, u64);

/// The samples of one peer.
type OfPeer = for<'a> fn(&'a Peer, &'a Names<'_>) -> Vec<Sample<'a>>;

const DEVICE: Family = Family::info("wireguard_device", "Metadata about a device.");

/// The families of peers: first those of mdlayher, then those of MindFlavor.
#[rustfmt::skip]
const PEERS: &[(Family, OfPeer)] = &[
    (Family::info("wireguard_peer", "Metadata about a peer. The public_key label on peer metrics refers to the peer's public key; not the device's public key."),
        |peer, names| vec![(names.keyed(&[Label("endpoint", &peer.endpoint), Label("name", names.name)]), 1)]),
    (Family::info("wireguard_peer_allowed_ips", "Metadata about each of a peer's allowed IP subnets for a given device."),
        |peer, names| peer.allowed_ips.iter().map(|net| (names.keyed(&[Label("allowed_ips", net), Label("family", family(net))]), 1)).collect()),
    (Family::plain_counter("wireguard_peer_receive_bytes", "Number of bytes received from a given peer."),
        |peer, names| vec![(names.keyed(&[]), peer.transfer_rx)]),
    (Family::plain_counter("wireguard_peer_transmit_bytes", "Number of bytes transmitted to a given peer."),
        |peer, names| vec![(names.keyed(&[]), peer.transfer_tx)]),
    (Family::gauge("wireguard_peer_last_handshake_seconds", None, "UNIX timestamp for the last handshake with a given peer."),
        |peer, names| vec![(names.keyed(&[]), peer.latest_handshake)]),
    (Family::plain_counter("wireguard_sent_bytes", "Bytes sent to the peer"),
        |peer, names| vec![(names.friendly(), peer.transfer_tx)]),
    (Family::plain_counter("wireguard_received_bytes", "Bytes received from the peer"),
        |peer, names| vec![(names.friendly(), peer.transfer_rx)]),
    (Family::gauge("wireguard_latest_handshake_seconds", None, "UNIX timestamp seconds of the last handshake"),
        |peer, names| vec![(names.friendly(), peer.latest_handshake)]),
];

/// The families of other exporters.
pub(super) fn compat_families(
    out: &mut impl Write,
    snapshot: &Snapshot,
    format: Exposition,
) -> io::Result<()> {
    DEVICE.head(out, format)?;
    let device = [Label("device", &snapshot.interface), Label("public_key", &snapshot.public_key)];
    DEVICE.sample(out, device, 1)?;
    let present = || snapshot.peers.iter().filter(|peer| peer.enabled);
    let keys = distinct(present().map(|peer| peer.public_key.as_str()));
    let peers: Vec<_> = present()
        .zip(keys)
        .map(|(peer, key)| (peer, Names::of(&snapshot.interface, peer, key)))
        .collect();
    for (family, samples) in PEERS {
        family.head(out, format)?;
        for (peer, names) in &peers {
            for (labels, value) in samples(peer, names) {
                family.sample(out, labels, value)?;
            }
        }
    }
    Ok(())
}

impl<'a> Names<'a> {
    fn of(interface: &'a str, peer: &'a Peer, public_key: String) -> Self {
        let is_named = peer.name != peer.public_key;
        Self {
            interface,
            public_key,
            name: if is_named { &peer.name } else { "" },
            allowed_ips: match peer.allowed_ips.as_slice() {
                // As `wg show` writes it.
                [] => "(none)".to_owned(),
                nets => nets.join(","),
            },
        }
    }

    fn keyed<'n>(&'n self, more: &[Label<'n>]) -> Vec<Label<'n>> {
        let mut labels =
            vec![Label("device", self.interface), Label("public_key", &self.public_key)];
        labels.extend(more);
        labels
    }

    fn friendly(&self) -> Vec<Label<'_>> {
        let labels = [
            Label("interface", self.interface),
            Label("public_key", &self.public_key),
            Label("allowed_ips", &self.allowed_ips),
        ];
        let name = (!self.name.is_empty()).then_some(Label("friendly_name", self.name));
        labels.into_iter().chain(name).collect()
    }
}

fn family(net: &str) -> &'static str {
    if net.contains(':') { "IPv6" } else { "IPv4" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    #[test]
    fn names_labels_and_values_are_those_of_the_originals() {
        insta::assert_snapshot!(rendered(&sample::snapshot()));
    }

    #[test]
    fn a_disabled_peer_is_not_there_and_one_without_a_name_has_none() {
        let mut snapshot = sample::snapshot();
        snapshot.peers[0].enabled = false;
        snapshot.peers[1].name = snapshot.peers[1].public_key.clone();
        let text = rendered(&snapshot);
        assert!(!text.contains(sample::KEYS[1]), "{text}");
        assert!(text.contains(",endpoint=\"\",name=\"\"} 1\n"), "{text}");
        assert!(!text.contains("friendly_name"), "{text}");
    }

    #[test]
    fn peers_whose_keys_are_hidden_do_not_share_a_sample() {
        let mut snapshot = sample::snapshot();
        for peer in &mut snapshot.peers {
            peer.public_key = "(hidden)".to_owned();
        }
        let text = rendered(&snapshot);
        assert!(text.contains("public_key=\"(hidden)\"} 5000\n"), "{text}");
        assert!(text.contains("public_key=\"(hidden) 2\"} 0\n"), "{text}");
    }

    fn rendered(snapshot: &Snapshot) -> String {
        let mut text = Vec::new();
        compat_families(&mut text, snapshot, Exposition::Text).expect("memory is never full");
        String::from_utf8(text).expect("text")
    }
}
