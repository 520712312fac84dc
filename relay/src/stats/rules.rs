//! Traffic by rule.

use std::io::{self, Write};

use relay_common::counters::RuleCounters;
use serde::Serialize;

use super::columns::columns;
use crate::units::bytes;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Traffic of every rule, most bytes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleTraffic {
    schema_version: u32,
    interface: String,
    rules: Vec<Counted>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    rule: String,
    flows: u64,
    packets: u64,
    bytes: u64,
    /// When it last let a packet through, as RFC 3339 writes it, in UTC.
    last_use: Option<String>,
    /// The same in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip)]
    last_use_s: Option<u64>,
}

/// What a rule has let through, and when last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    /// Packets, bytes and flows.
    pub counters: RuleCounters,
    /// When the last packet came: as text, and seconds since 1970-01-01T00:00:00Z.
    pub last: Option<(String, u64)>,
}

impl RuleTraffic {
    /// Counters with the names of their rules.
    pub fn new(interface: &str, rules: impl IntoIterator<Item = (String, RuleUse)>) -> Self {
        let counted = |(rule, RuleUse { counters, last }): (String, RuleUse)| {
            let RuleCounters { flows, packets, bytes, .. } = counters;
            let (last_use, last_use_s) = last.unzip();
            Counted { rule, flows, packets, bytes, last_use, last_use_s }
        };
        let mut rules: Vec<Counted> = rules.into_iter().map(counted).collect();
        rules.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.rule.cmp(&b.rule)));
        Self { schema_version: SCHEMA_VERSION, interface: interface.to_owned(), rules }
    }

    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    /// Each rule with its counters.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, RuleCounters)> {
        self.rules.iter().map(|&Counted { ref rule, flows, packets, bytes, .. }| {
            (rule.as_str(), RuleCounters { flows, packets, bytes, ..RuleCounters::default() })
        })
    }

    /// Each rule that was used, and when last, seconds since 1970-01-01T00:00:00Z.
    pub(super) fn last_uses(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().filter_map(|counted| Some((counted.rule.as_str(), counted.last_use_s?)))
    }
}

/// Renders a line for each rule, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_rules_into(out: &mut impl Write, shown: &RuleTraffic) -> io::Result<()> {
    let head = ["rule", "last used", "flows", "packets", "bytes"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(shown.rules.iter().map(|counted| {
        let Counted { rule, flows, packets, bytes: amount, last_use, .. } = counted;
        let last = last_use.as_deref().unwrap_or("never").to_owned();
        [rule.clone(), last, flows.to_string(), packets.to_string(), bytes(*amount)]
    }));
    columns(out, &rows, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_with_most_bytes_comes_first() {
        let counted = |rule: &str, flows, packets, bytes, last: Option<(String, u64)>| {
            let counters = RuleCounters { flows, packets, bytes, ..RuleCounters::default() };
            (rule.to_owned(), RuleUse { counters, last })
        };
        let last = ("2030-12-31T18:00:00Z".to_owned(), 1_924_970_400);
        let rules = [
            counted("dns", 7, 14, 900, Some(last.clone())),
            counted("ops-ssh", 2, 1200, 1_500_000, Some(last)),
            counted("web", 0, 0, 0, None),
        ];
        let shown = RuleTraffic::new("relay0", rules);
        let mut text = Vec::new();
        render_rules_into(&mut text, &shown).expect("a Vec takes everything");
        let json = serde_json::to_string_pretty(&shown).expect("numbers and names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }
}
