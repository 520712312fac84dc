//! The scenarios on real kernel WireGuard. Each builds its own lab and takes it down again; run
//! them one after the other (`--test-threads=1`), for they share the machine's counts of programs
//! and maps.

mod another;
mod atomic;
mod authority;
mod beside;
mod change;
mod closed;
mod down;
mod egress;
mod environment;
mod follow;
mod guard;
mod host;
mod missing;
mod nat;
mod neighbours;
mod own_tunnel;
mod path;
mod policy;
mod shapes;
mod siege;
mod told;
mod trace;
mod verbs;
mod watch;
