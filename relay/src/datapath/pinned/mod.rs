//! What outlives the command: maps and links, pinned in
//! `<bpffs>/relay/<interface>/v<ABI>-<network namespace>/`.
//!
//! A new pinned map is one declaration in `declared.rs`. Everything else follows from it: the check
//! before use, opening, growing, taking over from other versions, and removing.

mod bpffs;
mod declared;
mod directory;
mod heritage;
mod map;
mod mapped;
mod shape;
mod version;

pub use bpffs::is_open as is_bpffs_open;
pub use directory::Pins;
pub use heritage::Heritage;

pub(super) use declared::{
    CLAIMS, COUNTERS, DIFFERENCES, DROPPED, EVENT_COUNT, EVENTS, FLOW_SEED, FLOWS, FRAGMENTS,
    GUARD_ATTEMPTS, GUARD_COUNTS, GUARD_FLOWS, GUARD_SOURCES, HELD, HELD_PLACES, HOLDERS, HOMES,
    MAX_PEERS, METERS, MOVES, PAIRS, RULE_COUNTERS, RULES, SLOTS, SPREAD, TRIED, USES,
};
pub(super) use directory::GuardLink;
pub(super) use map::{Pin, PinnedMap, Words, rows_per_processor};
pub(super) use mapped::{Mapped, only};
pub(super) use version::abi_version;
