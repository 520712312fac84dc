//! Counts of a month or a day, from the history.

use std::io::{self, Write};

use serde::Serialize;

use super::{columns::columns, snapshot::Traffic};
use crate::units::bytes;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// What was counted in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Name of the interface.
    pub interface: String,
    /// The month or the day.
    pub period: String,
    /// When it begins, as RFC 3339 writes it, in UTC.
    pub from: String,
    /// When the next one begins.
    pub to: String,
    /// From when on it was counted.
    pub counted_from: String,
    /// Until when it was counted.
    pub counted_to: String,
    /// The last two in the time zone of this host.
    pub counted: [String; 2],
    /// Each peer.
    pub peers: Vec<UsedPeer>,
    /// Each direction of each pair of peers.
    pub pairs: Vec<UsedPair>,
    /// Each rule.
    pub rules: Vec<UsedRule>,
}

/// One peer in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedPeer {
    /// What it is called.
    pub peer: String,
    /// Its public key.
    pub public_key: String,
    /// Between it and other peers.
    pub relayed: Traffic,
    /// Between it and the relay itself, or through it beyond the overlay.
    pub host: Traffic,
    /// Dropped packets that it sent.
    pub dropped: u64,
}

/// One direction between two peers in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedPair {
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// Packets relayed.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One rule in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedRule {
    /// Its name.
    pub rule: String,
    /// Flows begun.
    pub flows: u64,
    /// Packets that it let through.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageColumns {
    /// Peers.
    Peers,
    /// Pairs of peers.
    Pairs,
    /// Rules.
    Rules,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    schema_version: u32,
    interface: &'a str,
    period: &'a str,
    from: &'a str,
    to: &'a str,
    counted_from: &'a str,
    counted_to: &'a str,
    peers: &'a [UsedPeer],
    pairs: &'a [UsedPair],
    rules: &'a [UsedRule],
}

impl Usage {
    /// Puts most bytes first.
    pub fn sort(&mut self) {
        let most = |bytes: u64| std::cmp::Reverse(bytes);
        self.peers.sort_by(|a, b| {
            (most(a.rx().1 + a.tx().1), &a.peer).cmp(&(most(b.rx().1 + b.tx().1), &b.peer))
        });
        self.pairs
            .sort_by(|a, b| (most(a.bytes), &a.from, &a.to).cmp(&(most(b.bytes), &b.from, &b.to)));
        self.rules.sort_by(|a, b| (most(a.bytes), &a.rule).cmp(&(most(b.bytes), &b.rule)));
    }
}

impl Serialize for Usage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = Json {
            schema_version: SCHEMA_VERSION,
            interface: &self.interface,
            period: &self.period,
            from: &self.from,
            to: &self.to,
            counted_from: &self.counted_from,
            counted_to: &self.counted_to,
            peers: &self.peers,
            pairs: &self.pairs,
            rules: &self.rules,
        };
        json.serialize(serializer)
    }
}

impl UsedPeer {
    /// Packets and bytes from it.
    fn rx(&self) -> (u64, u64) {
        let Self { relayed, host, .. } = self;
        (relayed.rx_packets + host.rx_packets, relayed.rx_bytes + host.rx_bytes)
    }

    /// Packets and bytes to it.
    fn tx(&self) -> (u64, u64) {
        let Self { relayed, host, .. } = self;
        (relayed.tx_packets + host.tx_packets, relayed.tx_bytes + host.tx_bytes)
    }
}

/// Renders what was counted as a table, and below it in which time.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_usage_into(
    out: &mut impl Write,
    usage: &Usage,
    rows: UsageColumns,
) -> io::Result<()> {
    match rows {
        UsageColumns::Peers => {
            let head = ["peer", "packets from", "bytes from", "packets to", "bytes to", "dropped"];
            let rows = usage.peers.iter().map(|peer| {
                let ((from, from_bytes), (to, to_bytes)) = (peer.rx(), peer.tx());
                let (from_bytes, to_bytes) = (bytes(from_bytes), bytes(to_bytes));
                let [from, to, dropped] = [from, to, peer.dropped].map(|count| count.to_string());
                [peer.peer.clone(), from, from_bytes, to, to_bytes, dropped]
            });
            table(out, head, rows, 1)?;
        }
        UsageColumns::Pairs => {
            let rows = usage.pairs.iter().map(|pair| {
                let UsedPair { from, to, packets, bytes: amount } = pair;
                [from.clone(), to.clone(), packets.to_string(), bytes(*amount)]
            });
            table(out, ["from", "to", "packets", "bytes"], rows, 2)?;
        }
        UsageColumns::Rules => {
            let rows = usage.rules.iter().map(|used| {
                let UsedRule { rule, flows, packets, bytes: amount } = used;
                [rule.clone(), flows.to_string(), packets.to_string(), bytes(*amount)]
            });
            table(out, ["rule", "flows", "packets", "bytes"], rows, 1)?;
        }
    }
    let [from, to] = &usage.counted;
    writeln!(out, "\n{} of {}, counted from {from} to {to}", usage.period, usage.interface)
}

/// Renders what was counted as comma-separated values (RFC 4180), with a head.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_usage_csv_into(
    out: &mut impl Write,
    usage: &Usage,
    rows: UsageColumns,
) -> io::Result<()> {
    match rows {
        UsageColumns::Peers => {
            let head = "peer,public_key,rx_packets,rx_bytes,tx_packets,tx_bytes,dropped";
            write!(out, "{head}\r\n")?;
            for peer in &usage.peers {
                let ((rx_packets, rx_bytes), (tx_packets, tx_bytes)) = (peer.rx(), peer.tx());
                let (name, key) = (field(&peer.peer), field(&peer.public_key));
                write!(out, "{name},{key},{rx_packets},{rx_bytes},{tx_packets},{tx_bytes},")?;
                write!(out, "{}\r\n", peer.dropped)?;
            }
        }
        UsageColumns::Pairs => {
            write!(out, "from,to,packets,bytes\r\n")?;
            for UsedPair { from, to, packets, bytes } in &usage.pairs {
                write!(out, "{},{},{packets},{bytes}\r\n", field(from), field(to))?;
            }
        }
        UsageColumns::Rules => {
            write!(out, "rule,flows,packets,bytes\r\n")?;
            for UsedRule { rule, flows, packets, bytes } in &usage.rules {
                write!(out, "{},{flows},{packets},{bytes}\r\n", field(rule))?;
            }
        }
    }
    Ok(())
}

fn table<const N: usize>(
    out: &mut impl Write,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    right: usize,
) -> io::Result<()> {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    columns(out, &rows, right)
}

/// Text as a field, in quotes if it needs some.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        let peer = |peer: &str, rx_bytes, host_bytes, dropped| UsedPeer {
            peer: peer.to_owned(),
            public_key: "YzI3qqnN4/qerogu1XaBi06pIhO81sSbs3/745oJNEQ=".to_owned(),
            relayed: Traffic { rx_packets: rx_bytes / 1000, rx_bytes, tx_packets: 2, tx_bytes: 84 },
            host: Traffic { rx_packets: 1, rx_bytes: host_bytes, ..Traffic::default() },
            dropped,
        };
        let pair = |from: &str, to: &str, bytes| UsedPair {
            from: from.to_owned(),
            to: to.to_owned(),
            packets: 3,
            bytes,
        };
        let rule =
            |rule: &str, bytes| UsedRule { rule: rule.to_owned(), flows: 1, packets: 9, bytes };
        let mut usage = Usage {
            interface: "relay0".to_owned(),
            period: "2026-11".to_owned(),
            from: "2026-10-31T23:00:00Z".to_owned(),
            to: "2026-11-30T23:00:00Z".to_owned(),
            counted_from: "2026-11-02T07:15:00Z".to_owned(),
            counted_to: "2026-11-26T22:59:50Z".to_owned(),
            counted: ["2026-11-02 08:15:00 CET".to_owned(), "2026-11-26 23:59:50 CET".to_owned()],
            peers: vec![peer("bob", 42_000, 0, 7), peer("ann", 123_456_789_000, 64, 0)],
            pairs: vec![pair("bob", "ann", 9), pair("ann", "bob", 1_500_000)],
            rules: vec![rule("dns", 20), rule("a, \"b\"", 2000)],
        };
        usage.sort();
        usage
    }

    #[test]
    fn tables_align_and_most_comes_first() {
        let mut text = Vec::new();
        for rows in [UsageColumns::Peers, UsageColumns::Pairs, UsageColumns::Rules] {
            render_usage_into(&mut text, &usage(), rows).expect("a Vec takes everything");
        }
        insta::assert_snapshot!(String::from_utf8(text).expect("UTF-8"));
    }

    #[test]
    fn values_are_separated_as_rfc_4180_has_it() {
        let mut text = Vec::new();
        for rows in [UsageColumns::Peers, UsageColumns::Pairs, UsageColumns::Rules] {
            render_usage_csv_into(&mut text, &usage(), rows).expect("a Vec takes everything");
        }
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.lines().all(|line| text.contains(&format!("{line}\r\n"))));
        insta::assert_snapshot!(text.replace('\r', ""));
    }

    #[test]
    fn the_json_has_peers_pairs_and_rules() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&usage()).expect("names and numbers"));
    }
}
