//! What the counters have to be.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use relay_common::{PeerCounters, Reason, counters::RuleCounters};
use relay_tests::generations::Generations;

use super::outcome::Outcome;

/// What the counters have to be.
#[derive(Default)]
pub(super) struct Counted {
    traffic: BTreeMap<u32, PeerCounters>,
    dropped: BTreeMap<u32, [u64; Reason::COUNT]>,
    rules: BTreeMap<u32, RuleCounters>,
}

impl Counted {
    /// The reason of a packet of this slot that was dropped.
    pub(super) fn dropped(&mut self, programs: &mut Generations, slot: u32) -> Result<Reason> {
        let now = programs.dropped(slot)?;
        let counted = self.dropped.entry(slot).or_insert([0; Reason::COUNT]);
        let before = std::mem::replace(counted, now);
        let mut moved = Reason::ALL.iter().filter(|reason| {
            let at = reason.index() as usize;
            now[at] != before[at]
        });
        let reason = moved.next().copied().context("neither relayed nor counted as dropped")?;
        let at = reason.index() as usize;
        ensure!(now[at] == before[at] + 1 && moved.next().is_none(), "{before:?} became {now:?}");
        Ok(reason)
    }

    /// Counts a packet of this length between two slots, unless it is dropped.
    pub(super) fn note(&mut self, outcome: &Outcome, [from, to]: [u32; 2], len: u64) {
        let rule = outcome.rule.map(|rule| self.rules.entry(rule).or_default());
        if outcome.verdict.is_err() && !outcome.begins {
            return;
        }
        if let Some(rule) = rule {
            rule.flows += u64::from(outcome.begins);
            rule.packets += u64::from(outcome.verdict.is_ok());
            rule.bytes += if outcome.verdict.is_ok() { len } else { 0 };
        }
        if outcome.verdict.is_ok() {
            let sender = self.traffic.entry(from).or_default();
            sender.rx_packets += 1;
            sender.rx_bytes += len;
            let receiver = self.traffic.entry(to).or_default();
            receiver.tx_packets += 1;
            receiver.tx_bytes += len;
        }
    }

    /// The counters of the programs are these.
    pub(super) fn is_what(&self, programs: &mut Generations) -> Result<()> {
        let slots = 0..=u32::try_from(programs.relay().peers.len())?;
        for slot in slots {
            let traffic = self.traffic.get(&slot).copied().unwrap_or_default();
            ensure!(programs.traffic(slot)? == traffic, "slot {slot}: expected {traffic:?}");
            let dropped = self.dropped.get(&slot).copied().unwrap_or_default();
            ensure!(programs.dropped(slot)? == dropped, "slot {slot}: expected {dropped:?}");
        }
        for (number, expected) in &self.rules {
            let found = programs.rule(*number)?;
            ensure!((found.packets > 0) == (found.last_ns > 0), "rule {number}: {found:?}");
            let found = RuleCounters { last_ns: 0, ..found };
            ensure!(found == *expected, "rule {number}: {found:?}, expected {expected:?}");
        }
        Ok(())
    }
}
