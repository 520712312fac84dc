use std::{collections::BTreeMap, net::SocketAddr, time::SystemTime};

use ipnet::IpNet;
use relay_common::{PeerCounters, guard::Outcome};

use super::{Dropped, Guarded, QuotaUse, Unanswered};

/// What the kernel has of a running relay.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// Name of the interface.
    pub interface: String,
    /// Its public key.
    pub public_key: String,
    /// Its UDP port.
    pub listen_port: u16,
    /// Mark of its packets on the underlay; 0 is none.
    pub fwmark: u32,
    /// The policy in force; `None` if the programs are not attached.
    pub policy: Option<Policy>,
    /// In the order of the output.
    pub peers: Vec<PeerObservation>,
    /// Quotas of the peers.
    pub quotas: Vec<QuotaUse>,
    /// Dropped packets of no known peer.
    pub unattributed: Dropped,
    /// Packets that the fence dropped, by reason.
    pub fence_dropped: FenceDropped,
    /// Interfaces with the guard, or that should have it.
    pub guard: Vec<Guarded>,
    /// Messages that the guard saw, by [`Outcome::index`].
    pub guard_messages: [u64; Outcome::COUNT],
    /// Sources whose handshakes it passed and that never had a session.
    pub guard_unanswered: Vec<Unanswered>,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Number of its generation.
    pub generation: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// How the programs are attached.
    pub mode: &'static str,
}

/// What the kernel has of one peer.
#[derive(Debug, Clone)]
pub struct PeerObservation {
    /// Its configured name, or its key.
    pub name: String,
    /// Its public key.
    pub public_key: String,
    /// `false` if the configuration disables it, so that the kernel does not have it.
    pub enabled: bool,
    /// Whether it has a preshared key.
    pub has_preshared_key: bool,
    /// Where its last packet came from.
    pub endpoint: Option<SocketAddr>,
    /// What it owns.
    pub allowed_ips: Vec<IpNet>,
    /// End of its latest handshake.
    pub latest_handshake: Option<SystemTime>,
    /// Encrypted bytes from it.
    pub transfer_rx: u64,
    /// Encrypted bytes to it.
    pub transfer_tx: u64,
    /// Seconds between keepalives from the relay.
    pub persistent_keepalive: Option<u16>,
    /// What the programs counted.
    pub counters: PeerCounters,
    /// Its dropped packets.
    pub dropped: Dropped,
}

/// Packets that the fence dropped, by label of the reason, with every reason.
pub type FenceDropped = BTreeMap<&'static str, u64>;
