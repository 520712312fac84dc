//! `relay unused`: entries of lists and rules that let nothing pass.

use std::time::Duration;

use super::{
    Context, Result,
    instant::{booted, now, rfc3339, seconds},
    learning::learnt,
    stats::rule_uses,
};
use crate::{
    learnt::{Learnt, unused_entries, unused_rules},
    model::Relay,
    stats::{UnusedEntry, UnusedReport, UnusedRule},
};

/// What of the configuration let nothing pass for so long: its rules, and while learning is on
/// entries of its lists.
///
/// # Errors
/// The configuration is invalid, the relay is not up, or a pin cannot be read.
pub async fn unused(context: &Context, age: Duration) -> Result<UnusedReport> {
    let relay = &context.loaded()?.relay;
    let learnt = learnt(context).await?.filter(|learnt| learnt.until.is_none());
    let uses = rule_uses(context)?;
    let since = now().saturating_sub(age.as_secs());
    let rules = unused_rules(&uses, since).into_iter().map(|one| UnusedRule {
        rule: relay.rules[one.rule].name.to_string(),
        last: one.last.map(rfc3339),
    });
    let entries = learnt.map(|learnt| (rfc3339(learnt.since), entries(relay, &learnt, since)));
    Ok(UnusedReport::new(
        relay.interface.as_str(),
        rfc3339(since),
        entries,
        rfc3339(seconds(booted())),
        rules.collect(),
    ))
}

fn entries(relay: &Relay, learnt: &Learnt, since: u64) -> Vec<UnusedEntry> {
    let name = |peer: usize| relay.peers[peer].name.to_string();
    let names = |peers: Vec<usize>| peers.into_iter().map(name).collect();
    let unused = unused_entries(relay, learnt, since).into_iter();
    let shown = unused.map(|one| UnusedEntry {
        peer: name(one.peer),
        entry: one.entry.to_string(),
        unused: names(one.unused),
        used: names(one.used),
        last: one.last.map(rfc3339),
    });
    shown.collect()
}
