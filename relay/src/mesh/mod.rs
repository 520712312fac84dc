//! The relays of a site: who is at home where ([`Ledger`], pure), and the gossip that carries it.
//!
//! Nothing here knows the kernel: what happens is told to the ledger, and what it answers is for others
//! to carry out.

mod admission;
mod claim;
mod error;
mod gate;
mod gossip;
mod inbox;
mod ledger;
mod meter;
mod refusal;
mod site;
#[cfg(test)]
mod tests;
mod wire;

pub use claim::{Claim, ClaimError};
pub use error::GossipError;
pub use gossip::{Beginning, Gossip, RelayStatus, Status};
pub use inbox::Event;
pub use ledger::{Action, Home, Ledger, Sight, Tally};
pub use meter::Traffic;
pub use refusal::Refusal;
pub use site::Site;
