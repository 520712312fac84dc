//! The guard on single frames: messages of WireGuard, the frames they come in, and the program
//! that judges them.

pub mod frame;
pub mod message;
mod run;

pub use frame::Outer;
pub use run::{GuardRun, PORT, key, settings, to_relay};
