//! The two main configurations: one to many, and node to node.

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, Peer, Site, scenario, skip};

use crate::watch::{Watch, ordered};

/// What WireGuard puts around a packet that it has filled up to a multiple of [`PADDED`]: a header and a
/// tag (WireGuard paper, section 5.4.6).
const ENVELOPE: u64 = 16 + 16;
const PADDED: u64 = 16;

/// A handshake or a keepalive in between counts, too: then it is tried again.
const ATTEMPTS: u32 = 5;

#[test]
fn node_to_node_all_traffic_passes_both_ways_and_is_counted_exactly() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        ensure!(a.address(Family::V4).to_string() == "10.3.2.3");
        ensure!(b.address(Family::V4).to_string() == "10.3.2.2");
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            watch.delivers_to_the_byte(a, b, family)?;
            watch.delivers_to_the_byte(b, a, family)?;
        }
        peers_are_shown_as_they_are(&lab)
    });
}

#[test]
fn one_to_many_nodes_reach_the_administrator_only() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::one_to_many()?)?;
        let [a, b, c, d] = lab.first()?;
        for (n, peer) in (2..).zip([a, b, c, d]) {
            ensure!(peer.address(Family::V4).to_string() == format!("10.3.2.{n}"));
            ensure!(peer.address(Family::V6).to_string() == format!("fd00::3:2:{n}"));
        }
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            for node in [b, c, d] {
                watch.delivers(a, node, family)?;
                watch.delivers(node, a, family)?;
            }
        }
        peers_are_shown_as_they_are(&lab)?;

        // With their own client files, the nodes would not even send. Now only the relay separates
        // them.
        for node in [b, c, d] {
            lab.widen(node)?;
        }
        for family in Family::ALL {
            for (from, to) in ordered(&[b, c, d]) {
                watch.drops(from, to, family, "not_in_either_list")?;
            }
        }
        watch.delivers(a, b, Family::V4)
    });
}

#[test]
fn wireguard_counts_the_same_packets_each_with_its_envelope() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        for (from, to) in [(a, b), (b, a)] {
            let (mut moved, mut expected) = ([0; 2], [1; 2]);
            for _ in 0..ATTEMPTS {
                let before = (encrypted(&lab, from)?, encrypted(&lab, to)?);
                let sent = watch.sends(from, to, Family::V4)?;
                let [rx, _] = encrypted(&lab, from)?;
                let [_, tx] = encrypted(&lab, to)?;
                moved = [rx - before.0[0], tx - before.1[1]];
                let padded = (sent.bytes / sent.packets).next_multiple_of(PADDED);
                expected = [sent.packets * (padded + ENVELOPE); 2];
                if moved == expected {
                    break;
                }
            }
            let names = [from.name(), to.name()];
            ensure!(moved == expected, "{names:?}: {moved:?} instead of {expected:?}");
        }
        Ok(())
    });
}

/// Bytes that WireGuard has received from a peer and sent to it, of messages of all kinds.
fn encrypted(lab: &Lab, peer: &Peer) -> Result<[u64; 2]> {
    let key = lab.site().private_key(peer.name())?.public_key().to_string();
    let transfers = lab.relay().wg(&lab.interface()?, "transfer")?;
    let (rx, tx) =
        transfers.get(&key).and_then(|both| both.split_once('\t')).context("its transfer")?;
    Ok([rx.parse()?, tx.parse()?])
}

/// Checks names, endpoints and sums in `relay stats`.
fn peers_are_shown_as_they_are(lab: &Lab) -> Result<()> {
    let stats = lab.relay().stats()?;
    ensure!(stats.schema_version == 1 && stats.listen_port == 51820, "{stats:?}");
    ensure!(stats.interface == lab.interface()?, "{stats:?}");
    ensure!(stats.peers.len() == lab.peers().len(), "{} peers are shown", stats.peers.len());
    for (peer, shown) in lab.peers().iter().zip(&stats.peers) {
        ensure!(shown.name == peer.name(), "{} is shown as {}", peer.name(), shown.name);
        let key = lab.site().private_key(peer.name())?.public_key();
        ensure!(shown.public_key == key.to_string(), "{shown:?}");
        let public = format!("{}:", peer.public_address());
        ensure!(shown.endpoint.starts_with(&public), "{shown:?} is not from {public}");
        ensure!(shown.latest_handshake > 0, "{shown:?} never shook hands");
        ensure!(shown.transfer_rx > 0 && shown.transfer_tx > 0, "{shown:?} moved nothing");
        for family in Family::ALL {
            let owned = match family {
                Family::V4 => format!("{}/32", peer.address(family)),
                Family::V6 => format!("{}/128", peer.address(family)),
            };
            ensure!(shown.allowed_ips.contains(&owned), "{shown:?} does not own {owned}");
        }
    }
    let rx: u64 = stats.peers.iter().map(|peer| peer.relayed.rx_bytes).sum();
    let tx: u64 = stats.peers.iter().map(|peer| peer.relayed.tx_bytes).sum();
    ensure!(stats.totals.relayed.rx_bytes == rx && stats.totals.relayed.tx_bytes == tx);
    ensure!(rx == tx, "{rx} bytes came from peers and {tx} went to peers");
    Ok(())
}
