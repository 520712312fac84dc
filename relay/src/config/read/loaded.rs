use super::{place::Location, problem::Problem};
use crate::model::Relay;

/// What a configuration may lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a relay without peers is valid. By default it is not: a list that became empty by
    /// mistake would cut everybody off.
    pub allow_empty: bool,
}

/// A configuration without problems.
#[derive(Debug)]
pub struct Loaded {
    /// The relay it describes.
    pub relay: Relay,
    /// What is valid but looks wrong.
    pub warnings: Vec<Problem>,
    pub(super) private_key_file: Location,
    /// In the order of `relay.peers`.
    pub(super) peers: Vec<PeerLocations>,
}

impl Loaded {
    /// `file:line` of a peer, by its place in `relay.peers`.
    pub fn place_of(&self, peer: usize) -> Option<String> {
        let at = &self.peers.get(peer)?.public_key;
        Some(format!("{}:{}", at.file.display(), at.line))
    }
}

/// Where a peer's cryptographic keys are named.
#[derive(Debug, Clone)]
pub(super) struct PeerLocations {
    pub(super) public_key: Location,
    pub(super) preshared_key_file: Option<Location>,
}
