//! Builds the eBPF programs: for relay's build script, and for whoever compares or checks them.

#![forbid(unsafe_code)]

mod objects;
mod pins;
mod toolchain;

pub use objects::{OBJECTS, Programs, TARGET};
pub use pins::{BPF_LINKER, DEBIAN, LLVM, NIGHTLY, PACKAGES, RUST};
pub use toolchain::{LINKED, Toolchain};
