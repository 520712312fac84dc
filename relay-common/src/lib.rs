//! What relay's kernel programs and its loader share: names, keys, values, reasons, counters, header
//! arithmetic and all decisions about packets. Nothing here calls a BPF helper or a system call, so
//! that every decision can be tested on the host.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[macro_use]
mod labelled;

pub mod blake2s;
pub mod branchless;
pub mod bucket;
pub mod bytes;
pub mod cell;
pub mod checksum;
pub mod counters;
pub mod event;
pub mod extension;
pub mod flow;
pub mod generation;
pub mod guard;
pub mod header;
pub mod held;
pub mod host_access;
pub mod icmp;
pub mod leaf;
pub mod limits;
pub mod mesh;
pub mod meter;
pub mod names;
pub mod payload;
pub mod period;
pub mod probe;
pub mod reason;
pub mod rules;
pub mod service;
pub mod transport;
pub mod trial;
pub mod usage;
pub mod verdict;

pub use cell::Cell;
pub use counters::{PairCounters, PeerCounters, dropped_index};
pub use event::Event;
pub use generation::Generation;
pub use leaf::Leaf;
pub use reason::{Disposition, Reason};
