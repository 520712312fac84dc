//! What is shown of a running relay: one snapshot, rendered as text or JSON.

mod snapshot;
mod text;
mod units;

pub use snapshot::{
    Observation, Peer, PeerObservation, Policy, Refused, Snapshot, Totals, Traffic,
};
pub use text::{Style, render_text_into};
