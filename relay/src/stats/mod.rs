//! What is shown of a running relay: one snapshot, rendered as text or JSON, and whether it is what
//! the configuration says.

mod pairs;
mod snapshot;
mod status;
mod text;
mod units;

pub use pairs::{Pairs, render_pairs_into};
pub use snapshot::{
    Attendance, Observation, Peer, PeerObservation, Policy, Presence, Refused, Snapshot, Totals,
    Traffic,
};
pub use status::{Findings, Hooks, Status, render_status_into};
pub use text::{Style, render_text_into};
