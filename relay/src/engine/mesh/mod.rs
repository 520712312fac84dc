//! A site of relays, as this one sees and serves it.

mod agent;
mod drain;
mod homes;
mod session;
mod site;
pub(super) mod state;
mod status;
mod takeover;
pub(super) mod transit;
mod view;
mod vrrp;

pub(super) use homes::away;
pub(super) use status::problems;

pub use agent::agent as mesh_agent;
pub use drain::{drain, undrain};
pub use status::{Extent, mesh_status};
pub use takeover::{TakenOver, takeover};
