//! The guard: WireGuard messages, frames that carry them, runs of its program, and a test bed.

pub mod bed;
pub mod frame;
pub mod message;
pub mod reading;
mod run;
pub mod tunnel;

pub use frame::Outer;
pub use run::{GuardRun, PORT, key, settings, to_relay};
