//! Identity of a loaded policy.

use bytemuck::{Pod, Zeroable};

/// Identity of a generation, in a map that its programs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Generation {
    /// [`crate::names::ABI_VERSION`] of the loader.
    pub abi_version: u32,
    /// TAI minus UTC, seconds, when the ends of its rules were computed.
    pub tai_offset_s: i32,
    /// Number of the generation; every switch on this interface increments it.
    pub number: u64,
    /// Hash of the compiled policy, the constants and the programs.
    pub policy_hash: [u8; 16],
}

const _: () = assert!(size_of::<Generation>() == 32);
