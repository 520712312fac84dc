//! What a relay has counted, over time, in one SQLite file: across reboots, `relay down` and changes
//! of the configuration.
//!
//! [`Store`] takes samples of the kernel's counters and keeps by how much they grew; [`Reader`]
//! answers from the same file, whether or not a store writes to it.
//!
//! Every count is in exactly one of three tables, by the length of their steps: ten seconds, two
//! minutes, an hour. Thinning moves it from one to the next, so that sums never change.
//!
//! The file has a rollback journal, not a write-ahead log: it is a single file that can be read
//! without creating others. A sample that finds a reader in its way for too long is not lost: the
//! next one has its counts, too. `synchronous = FULL`: what was committed outlives a power failure.

mod amounts;
mod error;
mod file;
mod known;
mod level;
mod limits;
mod read;
mod sample;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod thin;

pub use amounts::Amounts;
pub use error::HistoryError;
pub use limits::Limits;
pub use read::{Reader, Recorded, Series, Subject, Usage, Used};
pub use sample::{Family, PairSample, PeerSample, RuleSample, Sample};
pub use store::Store;
