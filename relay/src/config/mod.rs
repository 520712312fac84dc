//! The configuration files: read into the model, edited, imported, and written for clients.

mod client;
mod edit;
mod import;
mod read;

pub use client::{Rendered, RenderedError, Standing, render_client_into};
pub use edit::{
    Draft, Edit, EditError, NewLoan, NewPeer, NewRules, NoFreeAddress, Staged, StagedEdit,
    WriteError, create_private_key, free_addresses,
};
pub use import::{Import, ImportError, Remark};
pub use read::{
    Absent, Asked, Fault, Key, Kind, Loaded, MeshKey, Named, Options, Problem, Problems, Secrets,
    Stamp, TABLES, Table, is_stream, load, load_again, load_texts, one_sided, parse_address,
    parse_description, parse_group_name, parse_instant, parse_named, parse_network,
    parse_peer_name, parse_public_key, parse_relay_name, parse_rule_name, parse_service,
    parse_services, parse_webhook_name, read_mesh_key, read_private_key, read_regular,
    read_signing_secret, read_stream, require_signing_secrets, require_trusted,
};
