use std::{collections::BTreeMap, net::SocketAddr};

use relay_common::guard::Outcome;
use serde::Serialize;

/// The guard on the underlay, and what became of the messages that it saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Where it is wanted, and where it is left over.
    pub interfaces: Vec<Guarded>,
    /// Messages to the relay's port by the label of their outcome, since the guard was first put
    /// up; every outcome is there.
    pub messages: BTreeMap<&'static str, u64>,
    /// Handshakes without a session, the latest first; eight at most.
    pub unanswered: Vec<Unanswered>,
}

/// An address and port whose initiations the guard let through, without a session following.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unanswered {
    /// Where they come from.
    pub source: SocketAddr,
    /// How many, since data last came from there.
    pub initiations: u64,
    /// Seconds since the first.
    pub first_seconds: u64,
    /// Seconds since the last.
    pub last_seconds: u64,
}

/// How many are shown: the latest.
const UNANSWERED_SHOWN: usize = 8;

/// The guard on one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    /// Its name.
    pub interface: String,
    /// Where the guard runs, as the kernel says: `driver`, `generic`, or `none`.
    pub attached: &'static str,
}

impl Guard {
    /// The guard on these interfaces, with its counts by [`Outcome::index`].
    pub fn new(
        interfaces: Vec<Guarded>,
        counts: &[u64; Outcome::COUNT],
        unanswered: &[Unanswered],
    ) -> Self {
        let unanswered = unanswered.iter().take(UNANSWERED_SHOWN).cloned().collect();
        let labels = Outcome::ALL.iter().map(|outcome| outcome.label());
        Self { interfaces, messages: labels.zip(counts.iter().copied()).collect(), unanswered }
    }

    /// Whether it is neither there nor wanted, and never saw a message.
    pub fn is_none(&self) -> bool {
        self.interfaces.is_empty() && self.messages.values().all(|&messages| messages == 0)
    }

    /// Messages that it let through, or that it dropped, by label.
    pub(super) fn messages(&self, dropped: bool) -> impl Iterator<Item = (&'static str, u64)> {
        let outcomes = Outcome::ALL.iter().filter(move |outcome| outcome.drops() == dropped);
        outcomes.map(|outcome| {
            let label = outcome.label();
            (label, self.messages.get(label).copied().unwrap_or(0))
        })
    }
}
