use super::{place::Location, problem::Problem};
use crate::model::Relay;

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
    pub(super) private_key_file: Location,
    /// In the order of `relay.peers`.
    pub(super) peers: Vec<PeerLocations>,
}

impl Loaded {
    /// `file:line` of a peer, by its place in the relay's list.
    pub fn place_of(&self, peer: usize) -> Option<String> {
        let at = &self.peers.get(peer)?.public_key;
        Some(format!("{}:{}", at.file.display(), at.line))
    }
}

/// Where a peer's keys stand.
#[derive(Debug, Clone)]
pub(super) struct PeerLocations {
    pub(super) public_key: Location,
    pub(super) preshared_key_file: Option<Location>,
}
