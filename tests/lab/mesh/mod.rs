//! Three relays that are one to their peers.

mod address;
