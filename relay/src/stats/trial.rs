//! What a candidate that is tried would make of what flows.

use std::{
    cmp::Reverse,
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
};

use serde::Serialize;

use super::columns::columns;
use crate::units::bytes;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// A trial, and what it has found so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialReport {
    schema_version: u32,
    interface: String,
    /// The candidate's main file.
    candidate: PathBuf,
    /// When it began, as RFC 3339 writes it, in UTC.
    since: String,
    differences: Vec<TrialDifference>,
    /// Packets of differences that are not listed, because there are too many.
    unlisted_packets: u64,
}

/// What the candidate would do that the policy in force does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialChange {
    /// Drop what passes.
    Drops,
    /// Pass what is dropped, to a peer, to the host or beyond the overlay.
    Passes,
    /// Pass what passes, to another place.
    Moves,
}

/// Packets of one pair and service of which the candidate makes something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialDifference {
    /// What the candidate would do.
    pub change: TrialChange,
    /// Name of the sender; its key if it is not configured, `None` if no peer owns the address.
    pub from: Option<String>,
    /// The same of the receiver.
    pub to: Option<String>,
    /// What they belong to, as in `ports` of a rule; `None` if that cannot be read.
    pub service: Option<String>,
    /// What becomes of them: `peer`, `host`, `stack`, or the reason for which they are dropped.
    pub in_force: &'static str,
    /// The same by the candidate.
    pub candidate: &'static str,
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first one came, as RFC 3339 writes it, in UTC.
    pub first: String,
    /// When the latest one came.
    pub last: String,
    /// The first one; `None` if its headers cannot be read.
    pub example: Option<TrialPacket>,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialPacket {
    /// Source address.
    pub source: IpAddr,
    /// Source port, if the protocol has ports.
    pub source_port: Option<u16>,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port.
    pub destination_port: Option<u16>,
    /// Protocol number.
    pub protocol: u8,
}

impl TrialReport {
    /// Of a candidate that is tried since a time: what it would drop first, then by packets.
    pub fn new(
        interface: &str,
        candidate: PathBuf,
        since: String,
        mut differences: Vec<TrialDifference>,
        unlisted_packets: u64,
    ) -> Self {
        differences.sort_by(|a, b| {
            let key = |one: &TrialDifference| (one.change, Reverse(one.packets));
            let names = |one: &TrialDifference| (one.from.clone(), one.to.clone());
            key(a).cmp(&key(b)).then_with(|| names(a).cmp(&names(b)))
        });
        Self {
            schema_version: SCHEMA_VERSION,
            interface: interface.to_owned(),
            candidate,
            since,
            differences,
            unlisted_packets,
        }
    }

    /// Whether the candidate would drop, or might drop, something that passes.
    pub fn drops(&self) -> bool {
        let mut changes = self.differences.iter().map(|difference| difference.change);
        changes.any(|change| change == TrialChange::Drops) || self.unlisted_packets > 0
    }
}

/// Renders a sentence, and a line for each difference, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_trial_into(out: &mut impl Write, report: &TrialReport) -> io::Result<()> {
    let TrialReport { interface, candidate, since, differences, unlisted_packets, .. } = report;
    writeln!(out, "{interface}: {} is tried since {since}", candidate.display())?;
    if differences.is_empty() && *unlisted_packets == 0 {
        return writeln!(out, "so far it would make the same of every packet");
    }
    for (change, title) in [
        (TrialChange::Drops, "it would drop"),
        (TrialChange::Passes, "it would let through"),
        (TrialChange::Moves, "it would send elsewhere"),
    ] {
        let of_it: Vec<_> = differences.iter().filter(|one| one.change == change).collect();
        if of_it.is_empty() {
            continue;
        }
        writeln!(out, "\n{title}:")?;
        let head = ["from", "to", "service", "now", "then", "first", "last", "packets", "bytes"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(of_it.into_iter().map(row));
        columns(out, &rows, 7)?;
    }
    if *unlisted_packets > 0 {
        writeln!(out, "\nand of {unlisted_packets} packets more than can be listed")?;
    }
    Ok(())
}

fn row(difference: &TrialDifference) -> [String; 9] {
    let end = |name: &Option<String>, address: Option<IpAddr>| match (name, address) {
        (Some(name), Some(address)) => format!("{name} {address}"),
        (Some(name), None) => name.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "?".to_owned(),
    };
    let example = difference.example.as_ref();
    [
        end(&difference.from, example.map(|packet| packet.source)),
        end(&difference.to, example.map(|packet| packet.destination)),
        difference.service.clone().unwrap_or_else(|| "?".to_owned()),
        difference.in_force.to_owned(),
        difference.candidate.to_owned(),
        difference.first.clone(),
        difference.last.clone(),
        difference.packets.to_string(),
        bytes(difference.bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped() -> TrialDifference {
        TrialDifference {
            change: TrialChange::Drops,
            from: Some("ann".to_owned()),
            to: Some("web-1".to_owned()),
            service: Some("tcp/22".to_owned()),
            in_force: "peer",
            candidate: "no_rule",
            packets: 12,
            bytes: 4_000,
            first: "2030-12-31T18:00:00Z".to_owned(),
            last: "2030-12-31T18:05:00Z".to_owned(),
            example: Some(TrialPacket {
                source: "10.3.2.2".parse().expect("an address"),
                source_port: Some(40_000),
                destination: "10.3.2.10".parse().expect("an address"),
                destination_port: Some(22),
                protocol: 6,
            }),
        }
    }

    fn report(differences: Vec<TrialDifference>, unlisted: u64) -> TrialReport {
        let since = "2030-12-31T17:59:00Z".to_owned();
        TrialReport::new("relay0", "new.toml".into(), since, differences, unlisted)
    }

    #[test]
    fn what_would_be_dropped_comes_first() {
        let passed = TrialDifference {
            change: TrialChange::Passes,
            in_force: "not_in_either_list",
            candidate: "peer",
            packets: 90,
            service: None,
            example: None,
            ..dropped()
        };
        let shown = report(vec![passed, dropped()], 3);
        let mut text = Vec::new();
        render_trial_into(&mut text, &shown).expect("a Vec takes everything");
        render_trial_into(&mut text, &report(Vec::new(), 0)).expect("a Vec takes everything");
        let json = serde_json::to_string_pretty(&shown).expect("numbers and names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }

    #[test]
    fn it_drops_nothing_only_if_all_is_listed() {
        let moved = TrialDifference { change: TrialChange::Moves, ..dropped() };
        assert!(report(vec![dropped()], 0).drops() && report(Vec::new(), 1).drops());
        assert!(!report(vec![moved], 0).drops());
    }
}
