//! What is shown of a running relay: one snapshot, rendered as text, JSON, tabs or metrics,
//! live, and whether it is what the configuration says.

mod dump;
mod guard;
mod pairs;
mod prometheus;
#[cfg(test)]
mod sample;
mod snapshot;
mod status;
mod text;
mod watch;

pub use dump::render_dump_into;
pub use guard::{Guard, Guarded, Unanswered};
pub use pairs::{Pairs, render_pairs_into};
pub use prometheus::{Exposition, render_pairs_prometheus_into, render_prometheus_into};
pub use snapshot::{
    Attendance, FenceDropped, Observation, Peer, PeerObservation, Policy, Presence, Refused,
    Snapshot, Totals, Traffic,
};
pub use status::{Findings, Hooks, Status, render_status_into};
pub use text::{Style, render_text_into};
pub use watch::{Column, Key, Watch};
