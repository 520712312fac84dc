//! What a relayed packet costs, and what everybody else's way of deciding about it costs beside
//! it: `cargo xtask bench`.

mod caller;
pub mod commands;
pub mod fleet;
pub mod guard;
pub mod instructions;
pub mod layer;
pub mod memory;
pub mod native;
pub mod program;
pub mod siege;
