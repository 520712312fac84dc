use std::time::SystemTime;

use crate::stats::Snapshot;

/// A relay at a time.
#[derive(Debug)]
pub struct Look {
    /// Before it was read.
    pub at: SystemTime,
    /// What was read.
    pub snapshot: Snapshot,
}
