//! Whether what peers use of each other is learnt, and how much of it is kept.

use std::io::{self, Write};

use relay_common::usage::{MAX_SERVICES, MAX_SERVICES_OF_A_PEER};
use serde::Serialize;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Whether use is learnt, and what has been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LearningReport {
    schema_version: u32,
    interface: String,
    state: State,
    /// When it began last, as RFC 3339 writes it, in UTC.
    since: Option<String>,
    /// When it ended.
    until: Option<String>,
    services: usize,
    most_services: u64,
    most_services_of_a_peer: u64,
    /// Peers because of whose packets no more services are kept.
    at_limit: Vec<String>,
    pairs_with_more: usize,
    packets_of_more: u64,
    lost_packets: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    On,
    Off,
    None,
}

/// How much was learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Services that are kept, each of one pair and direction.
    pub services: usize,
    /// Pairs that have used more services than are kept.
    pub pairs: usize,
    /// Packets of these.
    pub packets_of_pairs: u64,
    /// Packets that are kept nowhere.
    pub lost_packets: u64,
}

impl LearningReport {
    /// Nothing ever was learnt.
    pub fn none(interface: &str) -> Self {
        let nothing = Share::default();
        let none = Self::new(interface, String::new(), None, nothing, Vec::new());
        Self { state: State::None, since: None, ..none }
    }

    /// Use is learnt since then, or was until then.
    pub fn new(
        interface: &str,
        since: String,
        until: Option<String>,
        share: Share,
        at_limit: Vec<String>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            interface: interface.to_owned(),
            state: if until.is_none() { State::On } else { State::Off },
            since: Some(since),
            until,
            services: share.services,
            most_services: MAX_SERVICES,
            most_services_of_a_peer: MAX_SERVICES_OF_A_PEER,
            at_limit,
            pairs_with_more: share.pairs,
            packets_of_more: share.packets_of_pairs,
            lost_packets: share.lost_packets,
        }
    }
}

/// Renders a few sentences.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_learning_into(out: &mut impl Write, report: &LearningReport) -> io::Result<()> {
    let LearningReport { interface, services, most_services, .. } = report;
    match (&report.since, &report.until) {
        (Some(since), None) => writeln!(out, "{interface}: learning since {since}")?,
        (Some(since), Some(until)) => {
            writeln!(out, "{interface}: learning is off; it was on from {since} until {until}")?;
        }
        (None, _) => return writeln!(out, "{interface}: learning is off, and nothing was learnt"),
    }
    writeln!(out, "{services} of at most {most_services} services")?;
    if !report.at_limit.is_empty() {
        writeln!(
            out,
            "at the limit of {} services: {}",
            report.most_services_of_a_peer,
            report.at_limit.join(", ")
        )?;
    }
    if report.pairs_with_more > 0 {
        writeln!(
            out,
            "{} packets of {} pairs that used more services than are kept",
            report.packets_of_more, report.pairs_with_more
        )?;
    }
    if report.lost_packets > 0 {
        writeln!(out, "{} packets of pairs that are not kept", report.lost_packets)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_since_when_and_what_is_missing() {
        let [since, until] = ["2030-12-31T18:00:00Z", "2031-01-30T18:00:00Z"].map(str::to_owned);
        let some = Share { services: 120, ..Share::default() };
        let more = Share { services: 1024, pairs: 2, packets_of_pairs: 40, lost_packets: 7 };
        let at_limit = vec!["ann".to_owned(), "web-1".to_owned()];
        let mut text = Vec::new();
        for report in [
            LearningReport::none("relay0"),
            LearningReport::new("relay0", since.clone(), None, some, Vec::new()),
            LearningReport::new("relay0", since, Some(until), more, at_limit),
        ] {
            render_learning_into(&mut text, &report).expect("a Vec takes everything");
            serde_json::to_writer_pretty(&mut text, &report).expect("numbers and names");
            text.extend(b"\n\n");
        }
        insta::assert_snapshot!(String::from_utf8(text).expect("UTF-8"));
    }
}
