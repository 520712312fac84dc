//! Goals, and whether the figures reach them.

use crate::document::Document;
use crate::flows;
use crate::grid::number;
use crate::rows::{Command, DOWN, FIRST_UP, Flow, Guard, ONE_MORE, Processors, SETCONF};

/// A goal and the figure measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    /// The figure, with its unit.
    pub(crate) found: String,
    /// Its limit.
    pub(crate) most: String,
    pub(crate) reached: bool,
}

impl Goal {
    fn new(what: String, found: f64, most: f64, unit: &str) -> Self {
        let show = |value: f64| {
            if unit.is_empty() { format!("{value:.2}") } else { format!("{value:.0} {unit}") }
        };
        Self { what, found: show(found), most: show(most), reached: found <= most }
    }
}

/// The goals for which there are figures. Of several sizes, the worst counts.
pub(crate) fn judge(document: &Document) -> Vec<Goal> {
    let mut goals = instructions(document);
    goals.extend(ruled(document));
    goals.extend(native(document));
    goals.extend(processors(document));
    goals.extend(memory(document));
    goals.extend(commands(document));
    goals.extend(guard(&document.guard));
    goals
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn instructions(document: &Document) -> Vec<Goal> {
    let mut goals = Vec::new();
    for kernel in document.kernels() {
        for (family, above) in [("IPv4", 190.0), ("IPv6", 260.0)] {
            let sizes = Document::sizes(document.instructions.iter().map(|row| row.peers));
            let relay: Vec<f64> = sizes
                .iter()
                .filter_map(|&peers| document.instructions(kernel, "relay", family, peers))
                .map(|count| count as f64)
                .collect();
            let of = |layer: &str| document.instructions(kernel, layer, family, 10);
            let (Some(first), Some(worst)) =
                (relay.first(), relay.iter().copied().reduce(f64::max))
            else {
                continue;
            };
            let at = format!("{kernel} {family}");
            for (layer, name) in
                [("redirect-hooked", "with both hooks"), ("redirect", "on ingress alone")]
            {
                if let Some(floor) = of(layer) {
                    let what = format!("{at}: relay above a bare redirect {name}, any size");
                    goals.push(Goal::new(what, worst - floor as f64, above, "instructions"));
                }
            }
            let what = format!("{at}: growth from the fewest to the most peers");
            goals.push(Goal::new(what, (worst / first - 1.0) * 100.0, 5.0, "%"));
            for (layer, name, most) in [
                ("nft-conntrack", "nftables with conntrack", 0.36),
                ("forward", "forwarding without a policy", 0.55),
            ] {
                if let Some(other) = of(layer) {
                    let what = format!("{at}: relay as a part of {name}");
                    goals.push(Goal::new(what, worst / other as f64, most, ""));
                }
            }
        }
    }
    goals
}

/// Flows of ruled pairs. Of both families, both sides and all numbers of rules, the worst counts.
fn ruled(document: &Document) -> Vec<Goal> {
    let mut goals = Vec::new();
    for kernel in flows::kernels(document) {
        let mut judge = |what: &str, most, unit, found: &dyn Fn(&Flow) -> Option<f64>| {
            let rows = document.flows.iter().filter(|row| row.kernel == kernel);
            if let Some(worst) = rows.filter_map(found).reduce(f64::max) {
                goals.push(Goal::new(format!("{kernel}: {what}"), worst, most, unit));
            }
        };
        let more = |row: &Flow, way: &str, rules| {
            let other = flows::same(document, row, way, rules)?;
            Some(count(row.instructions) - count(other.instructions))
        };
        for transport in ["tcp", "udp"] {
            let what = format!("a ruled {} flow above a pair by lists", transport.to_uppercase());
            judge(&what, 120.0, "instructions", &|row| {
                let is_meant = row.way == "rule" && row.transport == transport;
                is_meant.then(|| more(row, "lists", row.rules))?
            });
        }
        judge("growth of a ruled flow from one rule to 10 000", 1.0, "%", &|row| {
            let growth = (row.way == "rule" && row.rules > 1).then(|| more(row, "rule", 1))??;
            Some(growth / count(row.instructions) * 100.0)
        });
        for (limited, free, what) in [
            ("lists-rates", "lists", "a pair by lists with rates above one without"),
            ("rule-rates", "rule", "a ruled flow with rates above one without"),
        ] {
            judge(what, 60.0, "instructions", &|row| {
                (row.way == limited).then(|| more(row, free, row.rules))?
            });
        }
        judge("a pair by lists while it learns above one without", 450.0, "instructions", &|row| {
            (row.way == "lists-learnt").then(|| more(row, "lists", row.rules))?
        });
        for (tried, alone, what) in [
            ("lists-tried", "lists", "a pair by lists while a candidate is tried"),
            ("rule-tried", "rule", "a ruled flow while a candidate is tried"),
        ] {
            // What is above a bare redirect is the program.
            let programs = |row: &Flow, way| {
                let floor = document.instructions(kernel, "redirect-hooked", &row.family, 10)?;
                let of_way = flows::same(document, row, way, row.rules)?;
                Some(count(of_way.instructions) - count(floor))
            };
            judge(&format!("{what}, in programs without"), 2.0, "", &|row| {
                let is_meant = row.way == tried;
                is_meant.then(|| Some(programs(row, tried)? / programs(row, alone)?))?
            });
        }
        judge(
            "a pair by lists beside limited peers above no limits",
            0.0,
            "instructions",
            &|row| (row.way == "lists-beside-limits").then(|| more(row, "lists", row.rules))?,
        );
        judge("a pair at home at one relay of a site above no site", 0.0, "instructions", &|row| {
            (row.way == "lists-meshed").then(|| more(row, "lists", row.rules))?
        });
        judge("a pair by lists beside rules above no rules", 0.0, "instructions", &|row| {
            (row.way == "lists" && row.rules > 0).then(|| more(row, "lists", 0))?
        });
    }
    goals
}

fn native(document: &Document) -> Vec<Goal> {
    let mut goals = Vec::new();
    for peers in Document::sizes(document.native.iter().map(|row| row.peers)) {
        let Some(relay) = document.native("relay", peers) else { continue };
        let at = format!("native, {} peers", number(u64::from(peers)));
        if let Some(floor) = document.native("redirect", peers) {
            let most = if peers > 10_000 { 150.0 } else { 50.0 };
            let what = format!("{at}: relay above a bare redirect");
            goals.push(Goal::new(what, relay - floor, most, "ns"));
        }
        if let Some(set) = document.native("nft-set", peers) {
            let what = format!("{at}: relay as a part of the nftables set");
            goals.push(Goal::new(what, relay / set, 0.25, ""));
        }
    }
    for row in document.alone.iter().filter(|row| row.family == "IPv4") {
        let at = number(u64::from(row.peers));
        let what = format!("the program alone, IPv4, {at} peers");
        let ns = u32::try_from(row.ns).unwrap_or(u32::MAX);
        goals.push(Goal::new(what, f64::from(ns), 60.0, "ns"));
    }
    goals
}

/// Two processors are to relay 1.9 times what one does.
fn processors(document: &Document) -> Vec<Goal> {
    let goal = |row: &Processors| {
        let what = format!("two processors, {}: a run, in one alone", row.case);
        Goal::new(what, row.together_ns / row.alone_ns, 2.0 / 1.9, "")
    };
    document.processors.iter().map(goal).collect()
}

fn commands(document: &Document) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in document.commands.iter().filter(|row| row.peers == 10_000) {
        let Some(kib) = row.resident_kib else { continue };
        let what = format!("relay {}, {} peers", row.verb, number(u64::from(row.peers)));
        if let Some(ms) = document.estimate_ms(row) {
            goals.push(Goal::new(what.clone(), ms, 300.0, "ms"));
        }
        goals.push(Goal::new(format!("{what}: resident"), count(kib) / 1024.0, 64.0, "MiB"));
    }
    for row in document.commands.iter().filter(|row| row.verb == "stats") {
        let what = format!("relay stats, {} peers", number(u64::from(row.peers)));
        let most = if row.peers <= 10 { 20.0 } else { 300.0 };
        if let Some(ms) = document.estimate_ms(row).filter(|_| row.peers <= 10_000) {
            goals.push(Goal::new(what.clone(), ms, most, "ms"));
        }
        if let Some(times) = in_terms_of(document, row, "wg show").filter(|_| row.peers > 10) {
            goals.push(Goal::new(format!("{what}, in wg show dump"), times, 3.0, ""));
        }
    }
    for row in document.commands.iter().filter(|row| row.verb == DOWN && row.peers == 10_000) {
        if let Some(ms) = document.estimate_ms(row) {
            let what = format!("relay {DOWN}, {} peers", number(row.peers.into()));
            goals.push(Goal::new(what, ms, 10_000.0, "ms"));
        }
    }
    for (verb, most) in [(FIRST_UP, 1.3), (ONE_MORE, 0.2)] {
        for row in document.commands.iter().filter(|row| row.verb == verb && row.peers >= 10_000) {
            let Some(times) = in_terms_of(document, row, SETCONF) else { continue };
            let what = format!("relay {verb}, {} peers, in {SETCONF}", number(row.peers.into()));
            goals.push(Goal::new(what, times, most, ""));
        }
    }
    goals
}

/// How many times the instructions that a command which begins so takes with as many peers.
fn in_terms_of(document: &Document, row: &Command, verb: &str) -> Option<f64> {
    let mut same = document.commands.iter().filter(|other| other.peers == row.peers);
    let other = same.find(|other| other.verb.starts_with(verb))?;
    Some(count(row.instructions) / count(other.instructions))
}

fn memory(document: &Document) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in &document.memory {
        let (shape, most_ms, most_mib) = match (&*row.shape, row.peers) {
            ("one-to-many", 10_000) => ("one to many", 150.0, Some(32.0)),
            ("one-to-many", 100_000) => ("one to many", 2000.0, None),
            ("rules", 10_000) => ("1 000 rules, 200 groups", 400.0, Some(48.0)),
            _ => continue,
        };
        let at = format!("{} peers, {shape}", number(u64::from(row.peers)));
        let what = format!("{at}: compile and load");
        goals.push(Goal::new(what, row.compile_ms + row.load_ms, most_ms, "ms"));
        if let Some(most) = most_mib {
            let what = format!("{at}: maps");
            goals.push(Goal::new(what, count(row.map_bytes) / f64::from(1 << 20), most, "MiB"));
        }
    }
    goals
}

fn guard(figures: &Guard) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in
        figures.alone.iter().filter(|row| ["data, IPv4", "data, IPv6"].contains(&&*row.frame))
    {
        let what = format!("{}: guard, {}", row.kernel, row.frame);
        goals.push(Goal::new(what, count(row.instructions), 60.0, "instructions"));
    }
    for row in figures.floods.iter().filter(|row| row.guarded) {
        let mut same = figures.floods.iter();
        let Some(without) = same.find(|other| {
            (&other.kernel, &other.flood, other.guarded) == (&row.kernel, &row.flood, false)
        }) else {
            continue;
        };
        let most = if row.flood == "one source" { 0.1 } else { 0.5 };
        let what = format!(
            "{}: a forged initiation, {}, as a part of one without the guard",
            row.kernel, row.flood
        );
        let part = count(row.instructions) / count(without.instructions);
        goals.push(Goal::new(what, part, most, ""));
    }
    for row in figures.sieges.iter().filter(|row| row.guarded) {
        let what =
            format!("{}: genuine handshakes that fail in a flood from {}", row.kernel, row.names);
        let failed = row.calls.saturating_sub(row.connected);
        goals.push(Goal::new(what, count(failed), 0.0, "handshakes"));
    }
    goals
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
const fn count(instructions: u64) -> f64 {
    instructions as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Flood;

    #[test]
    fn floods_are_compared_with_those_without_the_guard() {
        let flood = |flood: &str, guarded, instructions| Flood {
            kernel: "6.12".to_owned(),
            flood: flood.to_owned(),
            guarded,
            instructions,
        };
        let floods = vec![
            flood("ever new sources", false, 10_000),
            flood("ever new sources", true, 6_000),
            flood("one source", false, 10_000),
            flood("one source", true, 900),
        ];
        let guard = Guard { floods, ..Guard::default() };
        let reached: Vec<bool> = super::guard(&guard).iter().map(|goal| goal.reached).collect();
        assert_eq!(reached, [false, true]);
    }
}
