//! The scenarios on kernel WireGuard, each with a lab of its own. Run them one after the other
//! (`--test-threads=1`), as they look at all programs and maps of the machine.

mod another;
mod atomic;
mod authority;
mod beside;
mod change;
mod clock;
mod closed;
mod down;
mod egress;
mod environment;
mod explain;
mod fairness;
mod follow;
mod guard;
mod host;
mod learn;
mod limits;
mod mesh;
mod missing;
mod names;
mod nat;
mod neighbours;
mod observe;
mod own_tunnel;
mod path;
mod policy;
mod rules;
mod serve;
mod shapes;
mod siege;
mod trace;
mod trial;
mod verbs;
mod versions;
mod watch;
