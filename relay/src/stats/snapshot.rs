use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use relay_common::PeerCounters;
use serde::Serialize;

use super::{
    Dropped, Guard, QuotaUse,
    observation::{FenceDropped, Observation, PeerObservation},
};

/// In place of every private and preshared key, and of each key with `WG_HIDE_KEYS` (wg(8)).
pub const HIDDEN: &str = "(hidden)";

/// The state of a relay at one moment; its JSON is `relay stats --json`. rx and tx are seen from
/// the relay: a packet from A to B moves A's rx and B's tx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Version of this layout.
    pub schema_version: u32,
    /// Name of the interface.
    pub interface: String,
    /// Its public key.
    pub public_key: String,
    /// Its UDP port.
    pub listen_port: u16,
    /// Mark of its packets on the underlay; 0 is none.
    #[serde(skip)]
    pub fwmark: u32,
    /// Number of the generation in force; 0 if there is none.
    pub generation: u64,
    /// Hash of its policy; empty if there is none.
    pub policy_hash: String,
    /// How the programs are attached: `tcx`, `netlink`, or `none`.
    pub attached: String,
    /// In the order of the observation.
    pub peers: Vec<Peer>,
    /// Quotas of the peers, in the order of the configuration.
    pub quotas: Vec<QuotaUse>,
    /// Dropped packets of no known peer.
    pub unattributed: Dropped,
    /// Sums over all peers.
    pub totals: Totals,
    /// Packets that the fence dropped since it was put up.
    pub fence_dropped: FenceDropped,
    /// The guard on the underlay.
    pub guard: Guard,
}

/// One peer; its JSON keys are those of `wg-json` where that has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its public key.
    pub public_key: String,
    /// `false` if the configuration disables it.
    pub enabled: bool,
    /// Whether it has a preshared key.
    #[serde(skip)]
    pub has_preshared_key: bool,
    /// Source of its last packet; empty if there was none.
    pub endpoint: String,
    /// What it owns.
    pub allowed_ips: Vec<String>,
    /// Unix time of its latest handshake, seconds; 0 is never.
    pub latest_handshake: u64,
    /// Encrypted bytes from it.
    pub transfer_rx: u64,
    /// Encrypted bytes to it.
    pub transfer_tx: u64,
    /// Seconds between keepalives from the relay; 0 is off.
    pub persistent_keepalive: u16,
    /// Between it and other peers.
    pub relayed: Traffic,
    /// Between it and the relay itself, or through it beyond the overlay.
    pub host: Traffic,
    /// Dropped packets that it sent.
    pub dropped: Dropped,
}

/// Whether a peer is connected. A handshake is fresh for as long as its session may be used:
/// REJECT_AFTER_TIME (WireGuard paper, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its latest handshake is fresh.
    Online,
    /// Its latest handshake is old.
    Offline,
    /// It never had a handshake.
    NeverSeen,
    /// The configuration disables it.
    Disabled,
    /// Its latest handshake is in the future: the clock was set back since.
    Unknown,
}

/// How many peers are connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attendance {
    /// Peers with a fresh handshake.
    pub online: usize,
    /// Peers with an old handshake.
    pub offline: usize,
    /// Peers without a handshake.
    pub never_seen: usize,
    /// Disabled peers.
    pub disabled: usize,
    /// Peers with a handshake in the future.
    pub unknown: usize,
}

/// Packets and bytes of inner IP packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Packets from the peer.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets to the peer.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

/// Sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Between peers.
    pub relayed: Traffic,
    /// Between peers and the relay itself.
    pub host: Traffic,
    /// Dropped packets, unattributed ones included.
    pub dropped: Dropped,
}

/// Version of the JSON layout.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// Age up to which a handshake is fresh.
const ONLINE: Duration = Duration::from_secs(180);
/// A handshake may complete between reading the clock and reading WireGuard.
const SLACK: Duration = Duration::from_secs(5);

impl Snapshot {
    /// The snapshot of an observation.
    pub fn new(observed: Observation) -> Self {
        let mut totals = Totals {
            relayed: Traffic::default(),
            host: Traffic::default(),
            dropped: observed.unattributed,
        };
        let peers = observed.peers.into_iter().map(Peer::new).collect::<Vec<_>>();
        for peer in &peers {
            totals.relayed.add(&peer.relayed);
            totals.host.add(&peer.host);
            totals.dropped.add(&peer.dropped);
        }
        let (generation, policy_hash, attached) = match observed.policy {
            Some(policy) => (policy.generation, policy.hash, policy.mode),
            None => (0, String::new(), "none"),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            interface: observed.interface,
            public_key: observed.public_key,
            listen_port: observed.listen_port,
            fwmark: observed.fwmark,
            generation,
            policy_hash,
            attached: attached.to_owned(),
            peers,
            quotas: observed.quotas,
            unattributed: observed.unattributed,
            totals,
            fence_dropped: observed.fence_dropped,
            guard: Guard::new(observed.guard, &observed.guard_messages, &observed.guard_unanswered),
        }
    }

    /// The same, with other peers.
    pub fn with(&self, peers: Vec<Peer>) -> Self {
        Self {
            schema_version: self.schema_version,
            interface: self.interface.clone(),
            public_key: self.public_key.clone(),
            listen_port: self.listen_port,
            fwmark: self.fwmark,
            generation: self.generation,
            policy_hash: self.policy_hash.clone(),
            attached: self.attached.clone(),
            peers,
            quotas: self.quotas.clone(),
            unattributed: self.unattributed,
            totals: self.totals.clone(),
            fence_dropped: self.fence_dropped.clone(),
            guard: self.guard.clone(),
        }
    }

    /// Counts peers by presence at this time.
    pub fn attendance(&self, now: SystemTime) -> Attendance {
        Attendance::of(self.peers.iter().map(|peer| peer.presence(now)))
    }
}

impl Attendance {
    /// How many peers there are of each presence.
    pub(super) fn of(presences: impl Iterator<Item = Presence>) -> Self {
        let mut attendance = Self::default();
        for presence in presences {
            match presence {
                Presence::Online => attendance.online += 1,
                Presence::Offline => attendance.offline += 1,
                Presence::NeverSeen => attendance.never_seen += 1,
                Presence::Disabled => attendance.disabled += 1,
                Presence::Unknown => attendance.unknown += 1,
            }
        }
        attendance
    }
}

impl Peer {
    /// What tells it apart from all others: its key, which it keeps when the files name it otherwise
    /// or no longer; its name if keys are hidden.
    pub fn identity(&self) -> &str {
        if self.public_key == HIDDEN { &self.name } else { &self.public_key }
    }

    /// Age of its latest handshake; `None` if there was none, or if it is in the future.
    pub fn handshake_age(&self, now: SystemTime) -> Option<Duration> {
        let at = self.handshake()?;
        match now.duration_since(at) {
            Ok(age) => Some(age),
            Err(_ahead) => self.handshake_ahead(now).is_none().then_some(Duration::ZERO),
        }
    }

    /// How far its latest handshake is in the future, if it is. WireGuard keeps wall-clock time
    /// (`ktime_get_real_ts64`, drivers/net/wireguard/noise.c, 6.12), which may be set back.
    pub fn handshake_ahead(&self, now: SystemTime) -> Option<Duration> {
        self.handshake()?.duration_since(now).ok().filter(|ahead| *ahead > SLACK)
    }

    fn handshake(&self) -> Option<SystemTime> {
        (self.latest_handshake != 0)
            .then(|| UNIX_EPOCH + Duration::from_secs(self.latest_handshake))
    }

    /// Its presence at this time.
    pub fn presence(&self, now: SystemTime) -> Presence {
        match self.handshake_age(now) {
            _ if !self.enabled => Presence::Disabled,
            _ if self.handshake_ahead(now).is_some() => Presence::Unknown,
            None => Presence::NeverSeen,
            Some(age) if age <= ONLINE => Presence::Online,
            Some(_) => Presence::Offline,
        }
    }

    fn new(observed: PeerObservation) -> Self {
        let since_epoch = observed.latest_handshake.and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Self {
            name: observed.name,
            public_key: observed.public_key,
            enabled: observed.enabled,
            has_preshared_key: observed.has_preshared_key,
            endpoint: observed.endpoint.map_or_else(String::new, |endpoint| endpoint.to_string()),
            allowed_ips: observed.allowed_ips.iter().map(ToString::to_string).collect(),
            latest_handshake: since_epoch.map_or(0, |duration| duration.as_secs()),
            transfer_rx: observed.transfer_rx,
            transfer_tx: observed.transfer_tx,
            persistent_keepalive: observed.persistent_keepalive.unwrap_or(0),
            relayed: Traffic::relayed(&observed.counters),
            host: Traffic::host(&observed.counters),
            dropped: observed.dropped,
        }
    }
}

impl Presence {
    /// Its words in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::NeverSeen => "never seen",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { online, offline, never_seen, disabled, unknown } = self;
        write!(f, "{online} online, {offline} offline, {never_seen} never seen")?;
        for (count, what) in [(disabled, "disabled"), (unknown, "unknown")] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl Traffic {
    /// What a peer exchanged with other peers.
    pub const fn relayed(counters: &PeerCounters) -> Self {
        Self {
            rx_packets: counters.rx_packets,
            rx_bytes: counters.rx_bytes,
            tx_packets: counters.tx_packets,
            tx_bytes: counters.tx_bytes,
        }
    }

    /// What it exchanged with the relay itself, or through it beyond the overlay.
    pub const fn host(counters: &PeerCounters) -> Self {
        Self {
            rx_packets: counters.host_rx_packets,
            rx_bytes: counters.host_rx_bytes,
            tx_packets: counters.host_tx_packets,
            tx_bytes: counters.host_tx_bytes,
        }
    }

    /// Whether nothing was counted.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Both together.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    fn add(&mut self, other: &Self) {
        self.rx_packets += other.rx_packets;
        self.rx_bytes += other.rx_bytes;
        self.tx_packets += other.tx_packets;
        self.tx_bytes += other.tx_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    #[test]
    fn a_handshake_in_the_future_makes_presence_unknown() {
        let snapshot = sample::snapshot();
        let peer = &snapshot.peers[0];
        let at = UNIX_EPOCH + Duration::from_secs(peer.latest_handshake);
        let presence = |now| (peer.presence(now), peer.handshake_age(now).map(|age| age.as_secs()));
        assert_eq!(presence(at + Duration::from_secs(180)), (Presence::Online, Some(180)));
        assert_eq!(presence(at + Duration::from_secs(181)), (Presence::Offline, Some(181)));
        // Within the time of one reading.
        assert_eq!(presence(at - Duration::from_secs(5)), (Presence::Online, Some(0)));
        assert_eq!(presence(at - Duration::from_secs(6)), (Presence::Unknown, None));
        let attendance = snapshot.attendance(at - Duration::from_secs(3600));
        assert_eq!(attendance.to_string(), "0 online, 0 offline, 1 never seen, 1 unknown");
    }
}
