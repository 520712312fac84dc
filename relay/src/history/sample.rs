use relay_common::{PairCounters, PeerCounters, counters::RuleCounters};

use crate::model::PublicKey;

/// The totals of the kernel's counters at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// When they were read, seconds since 1970-01-01T00:00:00Z.
    pub time: u64,
    /// Traffic of the peers.
    pub peers: Option<Family<PeerSample>>,
    /// Dropped packets by label of the reason, of the sender if it is known. Those without a packet may
    /// be left out.
    pub dropped: Option<Family<(Option<PublicKey>, &'static str, u64)>>,
    /// Traffic of pairs of peers.
    pub pairs: Option<Family<PairSample>>,
    /// Traffic of rules.
    pub rules: Option<Family<RuleSample>>,
}

/// Counters that begin and end together. Those that were not read are `None` in a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Family<T> {
    /// Names the life of these counters: when they begin anew, all at once, it is another one.
    pub life: String,
    /// Each of them. What is missing has ended, and begins anew if it comes back.
    pub members: Vec<T>,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSample {
    /// What it is known by.
    pub public_key: PublicKey,
    /// Its name; `None` if that is not known now.
    pub name: Option<String>,
    /// Its totals.
    pub traffic: PeerCounters,
}

/// One direction between two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairSample {
    /// The sender.
    pub from: PublicKey,
    /// The receiver.
    pub to: PublicKey,
    /// Its totals.
    pub traffic: PairCounters,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSample {
    /// Its name.
    pub name: String,
    /// Its totals.
    pub traffic: RuleCounters,
}

impl<T> Family<T> {
    /// These members of a life, if there is one.
    pub fn of(life: Option<String>, members: impl IntoIterator<Item = T>) -> Option<Self> {
        life.map(|life| Self { life, members: members.into_iter().collect() })
    }
}
