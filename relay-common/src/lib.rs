//! What relay's kernel programs and its loader share: names, keys, values, reasons, counters and
//! the arithmetic on headers. Nothing here calls a helper or a system call, so that every
//! decision can be tested on the host.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod blake2s;
pub mod checksum;
pub mod counters;
pub mod event;
pub mod extension;
pub mod generation;
pub mod guard;
pub mod header;
pub mod icmp;
pub mod leaf;
pub mod names;
pub mod pair;
pub mod question;
pub mod reason;
pub mod verdict;

pub use counters::{PairCounters, PeerCounters, refused_index};
pub use event::Event;
pub use generation::Generation;
pub use leaf::Leaf;
pub use pair::Pair;
pub use reason::{Disposition, Reason};
