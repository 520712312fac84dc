use std::sync::LazyLock;

use relay_common::Reason;
use serde::{Serialize, Serializer};

/// Dropped packets by reason, with every reason; in JSON, by its label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped([u64; Reason::COUNT]);

static BY_LABEL: LazyLock<Vec<Reason>> = LazyLock::new(|| {
    let mut reasons = Reason::ALL.to_vec();
    reasons.sort_unstable_by_key(|reason| reason.label());
    reasons
});

impl Dropped {
    /// Counts by [`Reason::index`].
    pub const fn new(counts: [u64; Reason::COUNT]) -> Self {
        Self(counts)
    }

    /// Labels and counts, in the order of the labels.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        BY_LABEL.iter().map(|reason| (reason.label(), self.0[reason.index() as usize]))
    }

    /// Packets of all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds packets of a reason.
    pub fn count(&mut self, reason: Reason, packets: u64) {
        self.0[reason.index() as usize] += packets;
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(count, more)| *count += more);
    }
}

impl Serialize for Dropped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
