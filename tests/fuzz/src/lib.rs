//! What hostile bytes must not do to relay: a target takes any bytes and panics if something does not
//! hold.
//!
//! `corpus/` has the inputs of each target: those that the fuzzer begins with, and those that once
//! showed a fault. Tests replay them (`corpus::tests` here, and `programs fuzzed::` for the targets
//! that need root); `cargo xtask fuzz` looks for more of them.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod agreement;
mod choices;
mod config;
pub mod corpus;
mod fragments;
mod gossip;
mod http;
mod import;
mod inner;
mod names;
mod outer;
mod policy;
mod rules;
mod run;
mod target;
mod terminal;

pub use target::{TARGETS, Target, target};
