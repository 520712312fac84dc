use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::names::Outcome;

/// Questions so far, by what became of them.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; Outcome::ALL.len()]);

impl Tally {
    pub(super) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// As they are now, with every outcome's label.
    pub(super) fn read(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Outcome::ALL.map(Outcome::label).into_iter().zip(counts).collect()
    }
}
