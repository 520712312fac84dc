//! The configuration: `relay.toml` and the fragments beside it, read into the model.
//!
//! [`load`] touches files; what it calls to make a [`Relay`] of their text is pure. All problems
//! of all files are reported at once.

use std::path::Path;

use crate::model::Relay;

mod check;
mod client;
mod draft;
mod edit;
mod findings;
mod free;
mod import;
mod keys;
mod parse;
mod problem;
mod reach;
mod regular;
mod rendered;
mod secrets;
mod source;
mod staged;
mod stamp;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod value;

pub use client::render_client_into;
pub use draft::{Draft, Edit, EditError, StagedEdit};
pub use edit::NewPeer;
pub use findings::Fault;
pub use free::{NoFreeAddress, free_addresses};
pub use import::{Import, ImportError, Remark};
pub use keys::{Absent, Key, Kind, TABLES, Table};
pub use problem::{Problem, Problems};
pub use reach::one_sided;
pub use regular::{is_stream, read as read_regular, read_stream};
pub use rendered::{Rendered, RenderedError, Standing};
pub use secrets::{Secrets, create_private_key, read_private_key};
pub use staged::{Staged, WriteError};
pub use stamp::Stamp;
pub use value::{
    address as parse_address, network as parse_network, peer_name as parse_peer_name,
    public_key as parse_public_key,
};

use parse::{Parsed, PeerLocations, parse};
use source::Source;

/// How a configuration is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a relay without peers is fine. It is not unless asked for: an empty list where
    /// there was a full one cuts everybody off.
    pub allow_empty: bool,
}

/// A configuration without problems.
#[derive(Debug)]
pub struct Loaded {
    /// The relay it describes.
    pub relay: Relay,
    /// What is allowed but looks wrong.
    pub warnings: Vec<Problem>,
    peers: Vec<PeerLocations>,
    private_key_file: findings::Location,
}

impl Loaded {
    /// `file:line` of a peer, by its place in the relay's list.
    pub fn place_of(&self, peer: usize) -> Option<String> {
        let at = &self.peers.get(peer)?.public_key;
        Some(format!("{}:{}", at.file.display(), at.line))
    }
}

/// Reads the main file at `path` and the fragments beside it: `relay.d/*.toml` for `relay.toml`,
/// in the order of their names. Relative names of key files are looked up beside the main file.
///
/// # Errors
/// Every problem in every file.
pub fn load(path: &Path, options: Options) -> Result<Loaded, Problems> {
    judge(&source::read(path), options)
}

/// What the sources say, the main file first, with warnings about the key files they name.
fn judge(sources: &[Source], options: Options) -> Result<Loaded, Problems> {
    let Parsed { relay, warnings, private_key_file, peers } = parse(sources, options)?;
    let mut loaded = Loaded { relay, warnings, peers, private_key_file };
    let exposed = secrets::exposed_key_files(&loaded);
    loaded.warnings.extend(exposed);
    Ok(loaded)
}
