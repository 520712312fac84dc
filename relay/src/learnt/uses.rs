use crate::model::Service;

/// What was learnt since learning began. Peers are places in [`crate::model::Relay::peers`] of the
/// configuration in force; times are seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// When learning began.
    pub since: u64,
    /// When it was switched off; `None` while it is on.
    pub until: Option<u64>,
    /// Each pair and service once.
    pub uses: Vec<Use>,
    /// Peers that began more services than are kept of one peer.
    pub at_limit: Vec<usize>,
    /// Packets that are in none of the uses.
    pub lost: u64,
}

/// What one peer began with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Who began.
    pub from: usize,
    /// With whom.
    pub to: usize,
    /// What for; `None` for all services of the pair that found no place of their own.
    pub service: Option<Service>,
    /// Packets in both directions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first packet came.
    pub first: u64,
    /// When the latest one came.
    pub last: u64,
}

/// When each rule last let a packet through, by its place in [`crate::model::Relay::rules`]; `None`
/// if it never did since relay came up.
pub type RuleUses = Vec<Option<u64>>;
