use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::model::PublicKey;

/// The endpoint of a peer that is at home at another relay: nobody listens there, so WireGuard's timers
/// call nobody.
pub const RELEASED: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

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
