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
struct Counted {
    rule: String,
    flows: u64,
    packets: u64,
    bytes: u64,
}

impl RuleTraffic {
    /// Counters with the names of their rules.
    pub fn new(interface: &str, rules: impl IntoIterator<Item = (String, RuleCounters)>) -> Self {
        let counted = |(rule, counters): (String, RuleCounters)| {
            let RuleCounters { flows, packets, bytes, .. } = counters;
            Counted { rule, flows, packets, bytes }
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
        self.rules.iter().map(|&Counted { ref rule, flows, packets, bytes }| {
            (rule.as_str(), RuleCounters { flows, packets, bytes, ..RuleCounters::default() })
        })
    }
}

/// Renders a line for each rule, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_rules_into(out: &mut impl Write, shown: &RuleTraffic) -> io::Result<()> {
    let head = ["rule", "flows", "packets", "bytes"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(shown.rows().map(|(rule, counters)| {
        let RuleCounters { flows, packets, bytes: amount, .. } = counters;
        [rule.to_owned(), flows.to_string(), packets.to_string(), bytes(amount)]
    }));
    columns(out, &rows, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_with_most_bytes_comes_first() {
        let counted = |rule: &str, flows, packets, bytes| {
            let counters = RuleCounters { flows, packets, bytes, ..RuleCounters::default() };
            (rule.to_owned(), counters)
        };
        let rules = [counted("dns", 7, 14, 900), counted("ops-ssh", 2, 1200, 1_500_000)];
        let shown = RuleTraffic::new("relay0", rules);
        let mut text = Vec::new();
        render_rules_into(&mut text, &shown).expect("a Vec takes everything");
        let json = serde_json::to_string_pretty(&shown).expect("numbers and names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }
}
