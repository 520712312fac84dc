//! What the guard decides about WireGuard messages before the host's stack sees them.
//!
//! Kernel WireGuard queues every handshake initiation, 4 096 deep, before a worker checks its
//! MAC1. The guard checks it first: form, MAC1 against the relay's public key, and how many
//! initiations a source may send. What it does not understand, it passes untouched and uncounted.
//!
//! # What a flood cannot do
//!
//! **Lock out a source whose address is spoofed.** An initiation is limited by the bucket of its
//! source only when nothing says better of it. A message with a MAC2 is never limited: the kernel
//! judges it by the cookie, which only who receives at that address knows. An initiation from an
//! address *and port* that was admitted before, and that sent data since, has a bucket of its own
//! ([`Flow`]): who spoofs the address would have to know the port too, cannot mark a flow without
//! being admitted first, and drains the shared bucket only, which such flows do not need.
//!
//! **Fill the tables.** Sources and flows are LRU hashes. What is looked up stays; sources that
//! are ever new push out entries that were used once. A source that is pushed out begins with a
//! full bucket, and one that finds no room is let through to the check of its MAC1.
//!
//! # What the guard cannot do
//!
//! It has no session keys: that data is genuine it takes from where it comes and what came from
//! there before. Who knows the relay's public key and receives at an address can make flows
//! there, each good for one initiation in two seconds; the kernel's own limits hold behind it.
//! Processors that take from one bucket at the same moment may let one initiation more through
//! each. It takes UDP to the relay's port for the relay's, whatever the destination address.

mod flow;
mod limit;
mod mac1;
mod message;
mod outcome;

pub use flow::{CONFIRMED_FOR_NS, Flow, FlowKey, OWN};
pub use limit::{Limit, source_v4, source_v6};
pub use mac1::{INITIATION_WORDS, RESPONSE_WORDS, is_right_initiation, is_right_response, keyed};
pub use message::{
    COOKIE_REPLY_LEN, DATA_LEN_MIN, INITIATION_LEN, Kind, RESPONSE_LEN, is_handshake, is_sample,
    kind,
};
pub use outcome::Outcome;

use bytemuck::{Pod, Zeroable};

/// What a guard is told by whoever loads it, beside the constants of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Identity {
    /// Version of its layouts: [`crate::names::ABI_VERSION`].
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Names the settings and the program: equal hashes behave alike.
    pub settings_hash: [u8; 16],
    /// The state of BLAKE2s after the block of the key of MAC1.
    pub mac1_state: [u32; 8],
}

const _: () = assert!(size_of::<Identity>() == 56);

/// Counts of one processor, by [`Outcome::index`]: two cache lines that no other writes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Counts([u64; 16]);

const _: () = assert!(size_of::<Counts>() == 128);
const _: () = assert!(Outcome::COUNT <= 16);
