use std::{collections::BTreeMap, fmt};

use anyhow::{Result, bail};

use crate::{
    Tally,
    stats::{Directions, Stats},
};

/// All counters of the relay by name, or their movements; zeros are left out. Comparing ledgers
/// therefore also shows that no other counter moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<String, u64>);

impl Ledger {
    /// The counters of a snapshot.
    pub fn of(stats: &Stats) -> Self {
        let mut ledger = Self::default();
        for peer in &stats.peers {
            for (kind, directions) in [("relayed", peer.relayed), ("host", peer.host)] {
                let Directions { rx_packets, rx_bytes, tx_packets, tx_bytes } = directions;
                let name = &peer.name;
                ledger.move_tally(name, kind, "rx", Tally { packets: rx_packets, bytes: rx_bytes });
                ledger.move_tally(name, kind, "tx", Tally { packets: tx_packets, bytes: tx_bytes });
            }
            for (reason, packets) in &peer.dropped {
                ledger.move_by(format!("{} dropped {reason}", peer.name), *packets);
            }
        }
        for (reason, packets) in &stats.unattributed {
            ledger.move_by(format!("unattributed {reason}"), *packets);
        }
        ledger
    }

    /// The movements since `before`.
    pub fn since(&self, before: &Self) -> Result<Self> {
        let mut moved = self.clone();
        for (name, earlier) in &before.0 {
            let now = moved.0.remove(name).unwrap_or(0);
            let Some(by) = now.checked_sub(*earlier) else {
                bail!("{name} went back from {earlier} to {now}");
            };
            moved.move_by(name.clone(), by);
        }
        Ok(moved)
    }

    /// Adds another's movements.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        other.0.into_iter().for_each(|(name, amount)| self.move_by(name, amount));
        self
    }

    /// Adds packets relayed between two peers: the sender's rx and the receiver's tx.
    #[must_use]
    pub fn relayed(mut self, from: &str, to: &str, tally: Tally) -> Self {
        self.move_tally(from, "relayed", "rx", tally);
        self.move_tally(to, "relayed", "tx", tally);
        self
    }

    /// Adds packets of a peer that were dropped for `reason`.
    #[must_use]
    pub fn dropped(mut self, from: &str, reason: &str, packets: u64) -> Self {
        self.move_by(format!("{from} dropped {reason}"), packets);
        self
    }

    /// Adds packets received by the relay itself.
    #[must_use]
    pub fn to_host(mut self, from: &str, tally: Tally) -> Self {
        self.move_tally(from, "host", "rx", tally);
        self
    }

    /// Adds packets sent by the relay itself.
    #[must_use]
    pub fn from_host(mut self, to: &str, tally: Tally) -> Self {
        self.move_tally(to, "host", "tx", tally);
        self
    }

    /// One counter, such as `node-b dropped not_in_either_list`.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    fn move_tally(&mut self, peer: &str, kind: &str, direction: &str, tally: Tally) {
        self.move_by(format!("{peer} {kind} {direction} packets"), tally.packets);
        self.move_by(format!("{peer} {kind} {direction} bytes"), tally.bytes);
    }

    fn move_by(&mut self, name: String, amount: u64) {
        if amount != 0 {
            *self.0.entry(name).or_default() += amount;
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "  nothing");
        }
        for (name, amount) in &self.0 {
            writeln!(f, "  {name} {amount}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_the_difference_and_nothing_else() {
        let before =
            Ledger::default().dropped("b", "hairpin", 2).relayed("a", "b", Tally::of(1, 9));
        let after = before.clone().dropped("b", "hairpin", 3);
        let moved = after.since(&before).expect("counters that grew");
        assert_eq!(moved, Ledger::default().dropped("b", "hairpin", 3));
        assert!(before.since(&after).is_err());
    }
}
