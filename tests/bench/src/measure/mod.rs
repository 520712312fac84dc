//! The measurements: relay, and other ways to forward and filter.

mod assembler;
mod caller;
mod channels;
pub mod commands;
pub mod fleet;
pub mod flows;
mod generator;
mod groups;
pub mod guard;
pub mod instructions;
pub mod layer;
pub mod memory;
pub mod mesh;
pub mod native;
pub mod processors;
pub mod program;
pub mod siege;
mod site;
mod spoofer;
mod takeover;
mod trace;
mod trial;
