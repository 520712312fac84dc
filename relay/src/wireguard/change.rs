use std::fmt;

use ipnet::IpNet;

use super::DesiredPeer;
use crate::model::{PeerName, PresharedKey, PrivateKey, PublicKey};

/// Prefixes of one list that are shown; the rest is counted.
const SHOWN: usize = 4;

/// One change of a WireGuard interface. Its text is a line of the plan and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A peer that is not wanted. The kernel has no names, so it is shown by key.
    RemovePeer {
        /// What identifies it.
        public_key: PublicKey,
    },
    /// Allowed IPs that a remaining peer loses.
    RemoveAllowedIps {
        /// The peer.
        name: PeerName,
        /// What identifies it.
        public_key: PublicKey,
        /// What it loses, sorted.
        removed: Vec<IpNet>,
        /// What it has before and after, sorted: kernels before 6.16 cannot remove a single
        /// allowed IP, so the list is replaced by this one.
        kept: Vec<IpNet>,
    },
    /// The interface's private key.
    PrivateKey {
        /// The one wanted.
        key: PrivateKey,
        /// Of the one before, if there was one.
        previous: Option<PublicKey>,
    },
    /// The UDP port.
    ListenPort {
        /// The one before; `None` if none was chosen.
        previous: Option<u16>,
        /// The one wanted.
        port: u16,
    },
    /// A peer that is missing.
    AddPeer(DesiredPeer),
    /// A peer's preshared key.
    PresharedKey {
        /// The peer.
        name: PeerName,
        /// What identifies it.
        public_key: PublicKey,
        /// The one wanted; `None` is none.
        key: Option<PresharedKey>,
    },
    /// Allowed IPs that a peer gains.
    AddAllowedIps {
        /// The peer.
        name: PeerName,
        /// What identifies it.
        public_key: PublicKey,
        /// What it gains, sorted.
        added: Vec<IpNet>,
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
