use std::{io, net::SocketAddr};

/// Why there is no gossip.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// The own transit address is not there, or in use.
    #[error(
        "gossip: cannot listen on UDP {address}; `relay up` sets up that address, and one agent runs at a \
         time"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The loopback interface is down, or something filters it.
    #[error("gossip: no UDP socket on 127.0.0.1, through which datagrams are decoded; set lo up")]
    Codec(#[source] io::Error),
    /// It stopped by itself.
    #[error("gossip: ended: {0}; start the agent again")]
    Ended(String),
}
