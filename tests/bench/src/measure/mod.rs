//! The measurements: relay, and other ways to forward and filter.

mod assembler;
mod caller;
pub mod commands;
pub mod fleet;
mod generator;
pub mod guard;
pub mod instructions;
pub mod layer;
pub mod memory;
pub mod native;
pub mod program;
pub mod siege;
mod spoofer;
