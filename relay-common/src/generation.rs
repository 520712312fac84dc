//! What a loaded policy says of itself.

use bytemuck::{Pod, Zeroable};

/// Identity of a generation, held in a map of its own program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Generation {
    /// [`crate::names::ABI_VERSION`] of the loader.
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Counts up with every switch on this interface.
    pub number: u64,
    /// Hash of the compiled policy, the constants and the programs.
    pub policy_hash: [u8; 16],
}

const _: () = assert!(size_of::<Generation>() == 32);
