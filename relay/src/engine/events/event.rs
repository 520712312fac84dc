use std::{fmt, time::SystemTime};

use serde::Serialize;

use crate::{
    engine::{
        Dropped,
        instant::{rfc3339, seconds},
    },
    model::EventType,
};

/// Something that happened; its JSON is `relay events --output json`.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Name of the relay's interface.
    interface: String,
    /// When, as RFC 3339 writes it; a dropped packet has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(flatten)]
    happening: Happening,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happening {
    /// The relay can be read again.
    RelayUp {
        /// Number of the generation in force; 0 if there is none.
        generation: u64,
        /// Hash of its policy.
        hash: String,
    },
    /// The relay can no longer be read.
    RelayDown {
        /// Why.
        error: String,
    },
    /// Another policy is in force.
    PolicyChanged {
        /// Number of its generation; 0 if there is none.
        generation: u64,
        /// Its hash.
        hash: String,
        /// The hash of the one before.
        was: String,
    },
    /// A peer was added.
    PeerNew {
        /// Its name.
        peer: String,
    },
    /// A peer was removed.
    PeerGone {
        /// Its name.
        peer: String,
    },
    /// A peer has a fresh handshake again.
    PeerOnline {
        /// Its name.
        peer: String,
        /// Where it is, address and port.
        endpoint: String,
    },
    /// A peer has no fresh handshake any more.
    PeerOffline {
        /// Its name.
        peer: String,
    },
    /// A peer sends from elsewhere.
    PeerRoamed {
        /// Its name.
        peer: String,
        /// Where it is, address and port.
        endpoint: String,
        /// Where it was.
        was: String,
    },
    /// The guard dropped messages.
    GuardAlarm {
        /// Its verdict.
        outcome: &'static str,
        /// How many since the last alarm of this outcome.
        count: u64,
    },
    /// A packet was dropped.
    PacketDropped(Dropped),
    /// Events that are not told one by one.
    Lost {
        /// How many.
        count: u64,
    },
    /// Nothing: somebody tries a webhook.
    Test,
}

impl Event {
    /// What happened to a relay at a time.
    pub fn new(interface: &str, at: SystemTime, happening: Happening) -> Self {
        let has_own = matches!(happening, Happening::PacketDropped(_));
        let time = (!has_own).then(|| rfc3339(seconds(at)));
        Self { interface: interface.to_owned(), time, happening }
    }

    /// That events were not told to somebody who did not take them.
    pub fn lost(interface: &str, count: u64) -> Self {
        Self::new(interface, SystemTime::now(), Happening::Lost { count })
    }

    /// What a try of a webhook tells.
    pub fn test(interface: &str) -> Self {
        Self::new(interface, SystemTime::now(), Happening::Test)
    }

    /// Name of the relay's interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The value of `type` in its JSON.
    pub const fn kind(&self) -> &'static str {
        match (&self.happening, self.asked()) {
            (Happening::Lost { .. }, _) => "lost",
            (_, Some(asked)) => asked.label(),
            (_, None) => "test",
        }
    }

    /// What somebody asks for who wants to be told it. A reader loses dropped packets alone.
    pub const fn asked(&self) -> Option<EventType> {
        Some(match self.happening {
            Happening::RelayUp { .. } => EventType::RelayUp,
            Happening::RelayDown { .. } => EventType::RelayDown,
            Happening::PolicyChanged { .. } => EventType::PolicyChanged,
            Happening::PeerNew { .. } => EventType::PeerNew,
            Happening::PeerGone { .. } => EventType::PeerGone,
            Happening::PeerOnline { .. } => EventType::PeerOnline,
            Happening::PeerOffline { .. } => EventType::PeerOffline,
            Happening::PeerRoamed { .. } => EventType::PeerRoamed,
            Happening::GuardAlarm { .. } => EventType::GuardAlarm,
            Happening::PacketDropped(_) | Happening::Lost { .. } => EventType::PacketDropped,
            Happening::Test => return None,
        })
    }

    /// How many events are lost with it.
    pub const fn stands_for(&self) -> u64 {
        if let Happening::Lost { count } = self.happening { count } else { 1 }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(time) = &self.time {
            write!(f, "{time} ")?;
        }
        match &self.happening {
            Happening::RelayUp { generation, .. } => {
                write!(f, "{} is up, policy generation {generation}", self.interface)
            }
            Happening::RelayDown { error } => write!(f, "{} is gone: {error}", self.interface),
            Happening::PolicyChanged { generation: 0, .. } => write!(f, "no policy is in force"),
            Happening::PolicyChanged { generation, hash, .. } => {
                write!(f, "policy generation {generation} ({hash}) is in force")
            }
            Happening::PeerNew { peer } => write!(f, "{peer} is new"),
            Happening::PeerGone { peer } => write!(f, "{peer} is no longer a peer"),
            Happening::PeerOnline { peer, endpoint } => write!(f, "{peer} is online at {endpoint}"),
            Happening::PeerOffline { peer } => write!(f, "{peer} is offline"),
            Happening::PeerRoamed { peer, endpoint, was } => {
                write!(f, "{peer} moved from {was} to {endpoint}")
            }
            Happening::GuardAlarm { outcome, count } => {
                write!(f, "the guard dropped {count} messages: {outcome}")
            }
            Happening::PacketDropped(packet) => packet.fmt(f),
            Happening::Lost { count } => write!(f, "{count} events are not shown"),
            Happening::Test => f.write_str("a webhook is tried"),
        }
    }
}
