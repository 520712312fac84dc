use std::{collections::BTreeMap, net::SocketAddr};

use relay_common::guard::Outcome;
use serde::Serialize;

/// The guard on the underlay, and its verdicts on messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Interfaces that should have it, and those with a stale one.
    pub interfaces: Vec<Guarded>,
    /// Messages to the relay's port since the guard was first attached, by label of the outcome,
    /// with every outcome.
    pub messages: BTreeMap<&'static str, u64>,
    /// Sources without a session, latest first; eight at most.
    pub unanswered: Vec<Unanswered>,
    /// How many there are of these, as far as the guard's table was read.
    #[serde(skip)]
    pub unanswered_sources: usize,
}

/// A source whose initiations the guard passed and that never had a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unanswered {
    /// Their address and port.
    pub source: SocketAddr,
    /// Initiations since the last data from there.
    pub initiations: u64,
    /// Seconds since the first.
    pub first_seconds: u64,
    /// Seconds since the last.
    pub last_seconds: u64,
}

/// The latest are kept.
const UNANSWERED_SHOWN: usize = 8;

/// The guard on one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    /// Its name.
    pub interface: String,
    /// XDP mode that the kernel reports: `driver`, `generic`, or `none`.
    pub attached: &'static str,
}

impl Guard {
    /// The guard on these interfaces, with its counts by [`Outcome::index`].
    pub fn new(
        interfaces: Vec<Guarded>,
        counts: &[u64; Outcome::COUNT],
        unanswered: &[Unanswered],
    ) -> Self {
        let labels = Outcome::ALL.iter().map(|outcome| outcome.label());
        Self {
            interfaces,
            messages: labels.zip(counts.iter().copied()).collect(),
            unanswered: unanswered.iter().take(UNANSWERED_SHOWN).cloned().collect(),
            unanswered_sources: unanswered.len(),
        }
    }

    /// Whether it is not configured, not attached, and never saw a message.
    pub fn is_none(&self) -> bool {
        self.interfaces.is_empty() && self.messages.values().all(|&messages| messages == 0)
    }

    /// Messages that it passed or dropped, by label.
    pub(super) fn messages(&self, dropped: bool) -> impl Iterator<Item = (&'static str, u64)> {
        let outcomes = Outcome::ALL.iter().filter(move |outcome| outcome.drops() == dropped);
        outcomes.map(|outcome| {
            let label = outcome.label();
            (label, self.messages.get(label).copied().unwrap_or(0))
        })
    }
}
