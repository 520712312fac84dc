use std::{fmt, net::SocketAddr};

use ipnet::IpNet;

use super::DesiredPeer;
use crate::model::{PeerName, PresharedKey, PrivateKey, PublicKey};

/// Number of prefixes of a list that are shown; the others are counted.
const SHOWN: usize = 4;

/// A change of a WireGuard interface. Its text is a line of the plan and contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Remove a peer. The kernel has no names, so it is shown by key.
    RemovePeer {
        /// Public key.
        public_key: PublicKey,
    },
    /// Remove allowed IPs of a remaining peer.
    RemoveAllowedIps {
        /// Name of the peer.
        name: PeerName,
        /// Public key.
        public_key: PublicKey,
        /// Removed allowed IPs, sorted.
        removed: Vec<IpNet>,
        /// Remaining allowed IPs, sorted. Kernels before 6.16 cannot remove a single allowed IP, so this
        /// list replaces the old one.
        kept: Vec<IpNet>,
    },
    /// Set the private key of the interface.
    PrivateKey {
        /// Desired key.
        key: PrivateKey,
        /// Public key of the observed private key, if there is one.
        previous: Option<PublicKey>,
    },
    /// Set the UDP port.
    ListenPort {
        /// Observed port; `None` if none is set.
        previous: Option<u16>,
        /// Desired port.
        port: u16,
    },
    /// Add a peer.
    AddPeer(DesiredPeer),
    /// Set or remove the preshared key of a peer.
    PresharedKey {
        /// Name of the peer.
        name: PeerName,
        /// Public key.
        public_key: PublicKey,
        /// Desired key; `None` removes it.
        key: Option<PresharedKey>,
    },
    /// Add allowed IPs of a peer.
    AddAllowedIps {
        /// Name of the peer.
        name: PeerName,
        /// Public key.
        public_key: PublicKey,
        /// Added allowed IPs, sorted.
        added: Vec<IpNet>,
    },
    /// Set how often the interface sends something to a peer from which nothing comes. The first time it
    /// sends at once, and so begins a session.
    Keepalive {
        /// Name of the peer.
        name: PeerName,
        /// Public key.
        public_key: PublicKey,
        /// Seconds; 0 is never.
        seconds: u16,
    },
    /// Set where a peer is reached, until it sends from elsewhere.
    Endpoint {
        /// Name of the peer.
        name: PeerName,
        /// Public key.
        public_key: PublicKey,
        /// Address and UDP port.
        endpoint: SocketAddr,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemovePeer { public_key } => write!(f, "- peer {public_key}"),
            Self::RemoveAllowedIps { name, removed, .. } => {
                write!(f, "~ peer {name}: allowed IPs - {}", Prefixes(removed))
            }
            Self::PrivateKey { key, previous: None } => {
                write!(f, "+ private key (public key {})", key.public_key())
            }
            Self::PrivateKey { key, previous: Some(previous) } => {
                write!(f, "~ private key (public key {previous} → {})", key.public_key())
            }
            Self::ListenPort { previous: None, port } => write!(f, "+ listen port {port}"),
            Self::ListenPort { previous: Some(previous), port } => {
                write!(f, "~ listen port {previous} → {port}")
            }
            Self::AddPeer(peer) => {
                write!(f, "+ peer {} ({})", peer.name, Prefixes(&peer.allowed_ips))
            }
            Self::PresharedKey { name, key: Some(_), .. } => {
                write!(f, "~ peer {name}: preshared key")
            }
            Self::PresharedKey { name, key: None, .. } => {
                write!(f, "~ peer {name}: preshared key removed")
            }
            Self::AddAllowedIps { name, added, .. } => {
                write!(f, "~ peer {name}: allowed IPs + {}", Prefixes(added))
            }
            Self::Keepalive { name, seconds: 0, .. } => {
                write!(f, "~ peer {name}: keepalive off")
            }
            Self::Keepalive { name, seconds, .. } => {
                write!(f, "~ peer {name}: keepalive {seconds} seconds")
            }
            Self::Endpoint { name, endpoint, .. } => {
                write!(f, "~ peer {name}: endpoint {endpoint}")
            }
        }
    }
}

struct Prefixes<'a>(&'a [IpNet]);

impl fmt::Display for Prefixes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, prefix) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{prefix}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
