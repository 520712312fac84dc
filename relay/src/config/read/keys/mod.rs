//! Every table and key of the configuration file, one row a key.
//!
//! The reader takes names, ranges and examples from these rows, and the reference page of the
//! configuration is generated from them: walk [`TABLES`], and print each [`Key`]. A new key is a
//! row here and a field in `tables/`.

mod guard;
mod mesh;
mod names;
mod peer;
mod relay;
mod row;
mod rule;
mod webhook;

pub use row::{Absent, Key, Kind, Table};

pub(in crate::config) use row::{MTU_MAX, MTU_MIN, MTU_MIN_V6};

pub(super) use guard::GUARD;
pub(super) use mesh::{MESH, MESH_RELAY};
pub(super) use names::NAMES;
pub(super) use peer::{DEFAULTS, PEER};
pub(super) use relay::RELAY;
pub(super) use row::ANY;
pub(super) use rule::{GROUPS, RULE, TEST};
pub(super) use webhook::WEBHOOK;

/// All tables, in the order of the documentation.
pub const TABLES: [&Table; 11] =
    [&RELAY, &GUARD, &NAMES, &DEFAULTS, &PEER, &GROUPS, &RULE, &TEST, &WEBHOOK, &MESH, &MESH_RELAY];
