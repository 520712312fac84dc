//! Flows: conversations that one side began and a rule allowed, so that answers pass.
//!
//! The table is set-associative. A flow is in one set, which the beginner's slot and a keyed hash
//! choose, in one of its ways. A peer's flows are spread over [`REACH`] sets, and it takes at most
//! [`OWN_WAYS`] ways of each: no peer can take the table from the others. An entry gives way only
//! if it has expired or belongs to the peer that needs the place.
//!
//! Packets of the side that may begin are always judged by the rules, and put a lost entry back.
//! Packets of the other side need an entry. An entry carries the generation in which its beginning
//! was judged; in another one it is judged again.

mod begin;
mod entry;
mod fragment;
mod judge;
mod key;
mod packet;
mod set;
mod state;
mod steady;
#[cfg(test)]
mod tests;

pub use begin::begin;
pub use entry::{Entry, Record};
pub use fragment::{DATAGRAM_SETS, Fragment, forget, header_len, judge_later, remember};
pub use judge::{FlowOf, Flows, Passed, judge, judge_error};
pub use key::{Key, Side};
pub use packet::{NO_SERVICE, Packet};
pub use set::{FlowSet, place};
pub use state::{State, tcp};
pub use steady::steady;

use crate::bucket::Bucket;

/// Sets of the table.
pub const SETS: u32 = 1 << 13;
/// Ways of a set.
pub const WAYS: usize = 16;
/// Ways of one set that one peer takes.
pub const OWN_WAYS: u32 = 8;
/// Sets over which the flows of one peer are spread.
pub const REACH: u32 = 1 << 10;

/// Most flows that one peer has begun at a time.
pub const MOST_OF_A_PEER: u32 = REACH * OWN_WAYS;

/// Limit of flows that one peer begins: a second, and at once.
pub const OPENINGS: Bucket = Bucket::new(1000, 2000);

/// Unit of time: 2^30 nanoseconds of the boot clock, about 1.07 seconds.
pub const TICK_BITS: u32 = 30;

/// A time in ticks. A number of 32 bits lasts 146 years.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "see above")]
pub const fn ticks(ns: u64) -> u32 {
    (ns >> TICK_BITS) as u32
}

/// A duration in ticks, not less than that many seconds.
pub const fn ticks_of(seconds: u32) -> u32 {
    ticks(seconds as u64 * 1_000_000_000) + 1
}
