//! Everything that a scrape of metrics wants, as one exposition.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use super::{
    Exposition, Pairs, QuotaTraffic, RuleTraffic, Snapshot, WebhookUse,
    compat::compat_families,
    exposition::{Family, Label},
    names::name_families,
    prometheus::{pair_families, relay_families, rule_families},
    webhooks::webhook_families,
};

/// What was read of a relay for one scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrape {
    /// Peers, policy, fence and guard.
    pub snapshot: Snapshot,
    /// Traffic of rules.
    pub rules: RuleTraffic,
    /// Traffic of pairs; `None` if they are not counted.
    pub pairs: Option<BusiestPairs>,
    /// The table of flows; `None` if no generation with rules ever was in force.
    pub flows: Option<FlowTable>,
    /// Rates that peers are limited to.
    pub rates: Vec<RateLimit>,
    /// Webhooks and what they were sent; none where nothing is delivered to them.
    pub webhooks: Vec<WebhookUse>,
    /// Questions about names, by label of what became of them; none where no names are answered.
    pub name_questions: BTreeMap<&'static str, u64>,
    /// How long the reading took.
    pub took: Duration,
}

/// The pairs with most bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusiestPairs {
    /// Their traffic.
    pub pairs: Pairs,
    /// How many were asked for.
    pub limit: usize,
    /// How many were left out.
    pub omitted: usize,
}

/// How full the table of flows is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowTable {
    /// Flows that have not expired, by label of their state, with every state.
    pub live: BTreeMap<&'static str, u64>,
    /// Places.
    pub capacity: u64,
}

/// A rate that a peer is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Name of the peer.
    pub peer: String,
    /// What is limited.
    pub traffic: QuotaTraffic,
    /// The most, bits a second.
    pub bits_per_second: u64,
}

/// How a scrape is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrapeStyle {
    /// The format.
    pub format: Exposition,
    /// Whether it also has the names of other exporters for WireGuard.
    pub compat: bool,
    /// The time of the reading.
    pub now: SystemTime,
}

/// How many pairs have series of their own, unless somebody says otherwise.
pub const MOST_PAIRS: usize = 1000;

/// Samples: labels behind the interface's, and the value.
type Samples<'a> = Vec<(Vec<Label<'a>>, f64)>;

/// The samples of a family.
type OfScrape = fn(&Scrape) -> Samples<'_>;

/// The families that only a scrape has.
#[rustfmt::skip]
const FAMILIES: &[(Family, OfScrape)] = &[
    (Family::gauge("wgrelay_pair_series_limit", None, "Most pairs that have series of their own; absent if pairs are not counted."),
        |s| one(s.pairs.as_ref().map(|pairs| pairs.limit))),
    (Family::gauge("wgrelay_pair_series_omitted", None, "Pairs with traffic that were left out, those with fewest bytes."),
        |s| one(s.pairs.as_ref().map(|pairs| pairs.omitted))),
    (Family::gauge("wgrelay_flows", None, "Flows that have not expired, by how far they have come; absent if there never were rules."),
        |s| s.flows.iter().flat_map(|table| by_state(&table.live)).collect()),
    (Family::gauge("wgrelay_flow_capacity", None, "Places of the table of flows. One peer takes at most 8192 of them."),
        |s| s.flows.iter().map(|table| (Vec::new(), float(table.capacity))).collect()),
    (Family::gauge("wgrelay_peer_rate_limit_bytes_per_second", Some("bytes_per_second"), "Highest rate of IP packets inside the tunnel that is configured for what comes from the peer, or goes to it; absent if there is none."),
        |s| s.rates.iter().map(rate).collect()),
    (Family::gauge("wgrelay_guard_unanswered", None, "Addresses and ports whose handshakes the guard passed without a session following, among the 1024 entries that are read."),
        |s| one(Some(s.snapshot.guard.unanswered_sources))),
    (Family::info("wgrelay_build", "Version of the program that read all this."),
        |_| vec![(vec![Label("version", env!("CARGO_PKG_VERSION"))], 1.0)]),
    (Family::gauge("wgrelay_scrape_duration_seconds", Some("seconds"), "Time that the reading took."),
        |s| vec![(Vec::new(), s.took.as_secs_f64())]),
];

/// Renders one exposition of a scrape.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_scrape_into(
    out: &mut impl Write,
    scrape: &Scrape,
    style: &ScrapeStyle,
) -> io::Result<()> {
    let ScrapeStyle { format, compat, now } = *style;
    relay_families(out, &scrape.snapshot, format, now)?;
    rule_families(out, &scrape.rules, format)?;
    if let Some(busiest) = &scrape.pairs {
        pair_families(out, &busiest.pairs, format)?;
    }
    let interface = Label("interface", &scrape.snapshot.interface);
    for (family, samples) in FAMILIES {
        family.head(out, format)?;
        for (labels, value) in samples(scrape) {
            family.sample(out, [interface].into_iter().chain(labels), value)?;
        }
    }
    webhook_families(out, interface, &scrape.webhooks, format)?;
    name_families(out, interface, &scrape.name_questions, format)?;
    if compat {
        compat_families(out, &scrape.snapshot, format)?;
    }
    format.end(out)
}

fn one(value: Option<usize>) -> Samples<'static> {
    value.map(|value| (Vec::new(), float(value as u64))).into_iter().collect()
}

fn by_state<'s>(live: &BTreeMap<&'static str, u64>) -> Samples<'s> {
    live.iter().map(|(&state, &flows)| (vec![Label("state", state)], float(flows))).collect()
}

fn rate(limit: &RateLimit) -> (Vec<Label<'_>>, f64) {
    let labels = vec![Label("peer", &limit.peer), Label("traffic", limit.traffic.label())];
    (labels, float(limit.bits_per_second) / 8.0)
}

/// Counts of things and rates are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use relay_common::{PairCounters, counters::RuleCounters};

    use super::*;
    use crate::stats::{RuleUse, sample};

    #[test]
    fn a_scrape_is_one_exposition_of_everything() {
        insta::assert_snapshot!(rendered(&scrape(), Exposition::Text, false));
    }

    #[test]
    fn a_scrape_in_openmetrics_with_the_names_of_other_exporters() {
        let text = rendered(&scrape(), Exposition::OpenMetrics, true);
        assert!(text.ends_with("\n# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_is_claimed_of_what_is_not_counted() {
        let scrape = Scrape { pairs: None, flows: None, ..scrape() };
        let text = rendered(&scrape, Exposition::Text, false);
        for name in ["wgrelay_pair_", "wgrelay_flows{", "wgrelay_flow_capacity{"] {
            assert!(!text.lines().any(|line| line.starts_with(name)), "{name} in\n{text}");
        }
    }

    #[test]
    fn a_peer_that_roams_keeps_its_series() {
        let roamed = || {
            let mut scrape = scrape();
            scrape.snapshot.peers[0].endpoint = "203.0.113.77:1".to_owned();
            rendered(&scrape, Exposition::Text, false)
        };
        assert_eq!(rendered(&scrape(), Exposition::Text, false), roamed());
    }

    /// What a parser of either format requires.
    #[test]
    fn every_sample_follows_the_head_of_its_family_and_is_there_once() {
        for format in [Exposition::Text, Exposition::OpenMetrics] {
            let text = rendered(&scrape(), format, true);
            let mut family = ("", "");
            let (mut families, mut samples) = (Vec::new(), Vec::new());
            for line in text.lines().filter(|line| *line != "# EOF") {
                if let Some(head) = line.strip_prefix("# TYPE ") {
                    family = head.split_once(' ').expect("a kind");
                    assert!(!families.contains(&family.0), "{line}: a family appears once");
                    families.push(family.0);
                } else if let Some(head) = line.strip_prefix("# UNIT ") {
                    let (name, unit) = head.split_once(' ').expect("a unit");
                    assert_eq!(name, family.0);
                    assert!(name.ends_with(&format!("_{unit}")), "{line}");
                } else if !line.starts_with("# HELP ") {
                    let (sample, _) = line.rsplit_once(' ').expect("a value");
                    assert!(!samples.contains(&sample), "{line}: a sample appears once");
                    samples.push(sample);
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

    fn scrape() -> Scrape {
        let counters = RuleCounters { flows: 1, packets: 3, bytes: 252, ..RuleCounters::default() };
        let last = Some(("2023-11-14T22:13:20Z".to_owned(), 1_700_000_000));
        let rules = [("ops-ssh".to_owned(), RuleUse { counters, last })];
        let counted = |packets, bytes| PairCounters { packets, bytes };
        let pairs = [("node-a".to_owned(), "node-b".to_owned(), counted(3, 252))];
        let rate = |traffic, bits_per_second| RateLimit {
            peer: "node-b".to_owned(),
            traffic,
            bits_per_second,
        };
        Scrape {
            snapshot: sample::snapshot(),
            rules: RuleTraffic::new("relay0", rules),
            pairs: Some(BusiestPairs {
                pairs: Pairs::new("relay0", pairs, counted(7, 700)),
                limit: 1,
                omitted: 2,
            }),
            flows: Some(FlowTable {
                live: [("closing", 0), ("open", 17), ("opening", 2), ("reset", 1)].into(),
                capacity: 131_072,
            }),
            rates: vec![rate(QuotaTraffic::From, 10_000_000), rate(QuotaTraffic::To, 8_001)],
            webhooks: vec![WebhookUse {
                webhook: "ops".to_owned(),
                delivered: 12,
                failed: 3,
                lost: 1,
                waiting: 2,
                is_disabled: false,
            }],
            name_questions: [("answered", 40), ("no_name", 3), ("unanswered", 0)].into(),
            took: Duration::from_micros(12_345),
        }
    }

    fn rendered(scrape: &Scrape, format: Exposition, compat: bool) -> String {
        let style = ScrapeStyle { format, compat, now: sample::now() };
        let mut text = Vec::new();
        render_scrape_into(&mut text, scrape, &style).expect("memory is never full");
        String::from_utf8(text).expect("text")
    }
}
