use std::net::SocketAddr;

use crate::model::PublicKey;

/// Where a peer is at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Home {
    /// Nobody has said.
    Unknown,
    /// At this relay.
    Here,
    /// At the relay of this place in the list of the site.
    At(usize),
}

/// A peer as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The peer.
    pub peer: PublicKey,
    /// Where the programs think that it is at home.
    pub home: Home,
    /// WireGuard's latest handshake with it, Unix seconds; 0 if there was none.
    pub handshake: u64,
    /// WireGuard's endpoint of it.
    pub endpoint: Option<SocketAddr>,
}
