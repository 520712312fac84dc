//! The guard: frame in, verdict, counters moved.

mod arbitrary;
mod attached;
mod forged;
mod genuine;
mod implementations;
mod limited;
mod overlay;
mod spoofed;
