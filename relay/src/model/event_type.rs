use std::fmt;

/// A type of event that a webhook can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// The relay can be read again.
    RelayUp,
    /// The relay can no longer be read.
    RelayDown,
    /// Another policy is in force.
    PolicyChanged,
    /// A peer was added.
    PeerNew,
    /// A peer was removed.
    PeerGone,
    /// A peer has a fresh handshake again.
    PeerOnline,
    /// A peer has no fresh handshake any more.
    PeerOffline,
    /// A peer sends from elsewhere.
    PeerRoamed,
    /// The guard dropped messages.
    GuardAlarm,
    /// A packet was dropped.
    PacketDropped,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RelayUp,
        Self::RelayDown,
        Self::PolicyChanged,
        Self::PeerNew,
        Self::PeerGone,
        Self::PeerOnline,
        Self::PeerOffline,
        Self::PeerRoamed,
        Self::GuardAlarm,
        Self::PacketDropped,
    ];

    /// Its spelling in the configuration and in all output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RelayUp => "relay_up",
            Self::RelayDown => "relay_down",
            Self::PolicyChanged => "policy_changed",
            Self::PeerNew => "peer_new",
            Self::PeerGone => "peer_gone",
            Self::PeerOnline => "peer_online",
            Self::PeerOffline => "peer_offline",
            Self::PeerRoamed => "peer_roamed",
            Self::GuardAlarm => "guard_alarm",
            Self::PacketDropped => "packet_dropped",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
