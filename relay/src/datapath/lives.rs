//! Which maps are counted in. The kernel gives each map a number of its own until the next boot, so
//! that they tell whether counters began anew.

use super::{
    DatapathError,
    pinned::{COUNTERS, DROPPED, PAIRS, Pins, RULE_COUNTERS},
};

/// The kernel's id of each pinned map of counters; of maps with epochs, that of the first, which stays
/// when others are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lives {
    /// Traffic of peers.
    pub traffic: Option<u32>,
    /// Dropped packets.
    pub dropped: Option<u32>,
    /// Traffic of pairs.
    pub pairs: Option<u32>,
    /// Traffic of rules.
    pub rules: Option<u32>,
}

/// Those that are pinned now.
pub(super) fn read(pins: &Pins) -> Result<Lives, DatapathError> {
    let first = pins.epochs()?.first().copied().unwrap_or(0);
    Ok(Lives {
        traffic: pins.epoch_of(&COUNTERS, first).id(),
        dropped: pins.epoch_of(&DROPPED, first).id(),
        pairs: pins.map(&PAIRS).id(),
        rules: pins.map(&RULE_COUNTERS).id(),
    })
}
