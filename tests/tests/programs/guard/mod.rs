//! The guard: frame in, verdict, counters moved.

mod arbitrary;
mod forged;
mod genuine;
mod limited;
