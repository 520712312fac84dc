//! Tab-separated lines for the relay and each peer: the columns of `wg show INTERFACE dump`, followed
//! by what the programs counted.

use std::io::{self, Write};

use super::{
    Snapshot,
    snapshot::{HIDDEN, Peer, Traffic},
};

/// What wg(8) writes for an absent value.
const NONE: &str = "(none)";

/// Renders a snapshot. Behind the eight columns of wg(8) a peer has: its name; relayed packets and
/// bytes from it, and to it; the same between it and the relay itself; dropped packets.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_dump_into(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    let Snapshot { public_key, listen_port, .. } = snapshot;
    match public_key.as_str() {
        "" => write!(out, "{NONE}\t{NONE}\t{listen_port}\t")?,
        key => write!(out, "{HIDDEN}\t{key}\t{listen_port}\t")?,
    }
    match snapshot.fwmark {
        0 => writeln!(out, "off")?,
        mark => writeln!(out, "{mark:#x}")?,
    }
    snapshot.peers.iter().try_for_each(|peer| render_peer_into(out, peer))
}

fn render_peer_into(out: &mut impl Write, peer: &Peer) -> io::Result<()> {
    let or_none = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
    let preshared = if peer.has_preshared_key { HIDDEN } else { NONE };
    write!(out, "{}\t{preshared}\t{}\t", peer.public_key, or_none(&peer.endpoint))?;
    write!(out, "{}\t{}\t", or_none(&peer.allowed_ips.join(",")), peer.latest_handshake)?;
    write!(out, "{}\t{}\t", peer.transfer_rx, peer.transfer_tx)?;
    match peer.persistent_keepalive {
        0 => write!(out, "off\t{}", peer.name)?,
        seconds => write!(out, "{seconds}\t{}", peer.name)?,
    }
    for Traffic { rx_packets, rx_bytes, tx_packets, tx_bytes } in [peer.relayed, peer.host] {
        write!(out, "\t{rx_packets}\t{rx_bytes}\t{tx_packets}\t{tx_bytes}")?;
    }
    writeln!(out, "\t{}", peer.dropped.total())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    #[test]
    fn the_columns_of_wg_come_before_ours() {
        let mut text = Vec::new();
        render_dump_into(&mut text, &sample::snapshot()).expect("memory is never full");
        let text = String::from_utf8(text).expect("text");
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0], ["(hidden)", sample::KEYS[0], "51820", "0xca6c"]);
        assert_eq!(
            lines[1],
            [
                sample::KEYS[1],
                "(hidden)",
                "198.51.100.2:40000",
                "10.3.2.2/32,fd00::3:2:2/128",
                "1700000000",
                "5000",
                "7000",
                "25",
                "node-a",
                "10",
                "1000",
                "20",
                "2000",
                "1",
                "84",
                "2",
                "168",
                "4",
            ]
        );
        assert_eq!(lines[2][1..9], ["(none)", "(none)", "(none)", "0", "0", "0", "off", "node-b"]);
        assert!(lines[1..].iter().all(|line| line.len() == 18), "{text}");
    }

    #[test]
    fn a_relay_without_a_key_shows_none() {
        let mut text = Vec::new();
        let snapshot = Snapshot { public_key: String::new(), fwmark: 0, ..sample::snapshot() };
        render_dump_into(&mut text, &snapshot).expect("memory is never full");
        assert!(text.starts_with(b"(none)\t(none)\t51820\toff\n"));
    }
}
