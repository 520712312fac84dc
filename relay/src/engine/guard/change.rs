use std::fmt;

use ipnet::IpNet;

use crate::{
    datapath::{GuardHook, GuardSettings, XdpMode},
    model::{Guard, GuardMode, PublicKey, Relay},
};

/// One change of the guard. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GuardChange {
    /// It is attached; `None` leaves the mode to the driver.
    Attach { interface: String, mode: Option<XdpMode>, is_orphaned: bool },
    /// It is switched to other settings.
    Switch { interface: String, mode: Option<XdpMode>, to: &'static str },
    /// It is detached and attached in another mode.
    Mode { interface: String, from: XdpMode, to: XdpMode },
    /// It is detached.
    Remove { interface: String },
}

/// The relay's key, and whether WireGuard has another one.
pub(in crate::engine) struct Rekeyed {
    pub(in crate::engine) public_key: PublicKey,
    pub(in crate::engine) is_new: bool,
}

impl GuardChange {
    /// What the guard on an interface where it is desired needs, if anything.
    pub(super) fn of(
        hook: &GuardHook,
        settings: &GuardSettings,
        mode: Option<XdpMode>,
        key: &Rekeyed,
    ) -> Option<Self> {
        let interface = hook.interface.clone();
        match (hook.mode, mode) {
            _ if hook.obstacle.is_some() => None,
            (None, mode) => Some(Self::Attach { interface, mode, is_orphaned: hook.is_orphaned }),
            (Some(from), Some(to)) if from != to => Some(Self::Mode { interface, from, to }),
            (Some(_), _) if hook.carries_out(settings) => None,
            (Some(_), mode) => {
                let to = if hook.settings_hash == Some(settings.hash()) {
                    "pin counts again"
                } else if key.is_new {
                    "new key"
                } else if hook.settings_hash.is_none() {
                    "this version"
                } else {
                    "new settings"
                };
                Some(Self::Switch { interface, mode, to })
            }
        }
    }

    pub(super) fn interface(&self) -> &str {
        match self {
            Self::Attach { interface, .. }
            | Self::Switch { interface, .. }
            | Self::Mode { interface, .. }
            | Self::Remove { interface } => interface,
        }
    }
}

pub(super) fn settings(guard: &Guard, relay: &Relay, public_key: &PublicKey) -> GuardSettings {
    GuardSettings {
        port: relay.listen_port,
        public_key: *public_key,
        initiations_per_second: guard.initiations_per_second,
        burst: guard.burst,
        sources: guard.sources,
        overlay: relay.addresses.iter().map(IpNet::trunc).collect(),
    }
}

/// The mode that the configuration asks for; `None` leaves it to the driver.
pub(super) fn desired_mode(mode: GuardMode) -> Option<XdpMode> {
    match mode {
        GuardMode::Auto => None,
        GuardMode::Driver => Some(XdpMode::Driver),
        GuardMode::Generic => Some(XdpMode::Generic),
    }
}

impl fmt::Display for GuardChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { interface, mode, is_orphaned } => {
                let mode = mode.map_or(GuardMode::Auto.label(), XdpMode::label);
                let again = if *is_orphaned { ", which was made again" } else { "" };
                write!(f, "+ guard on {interface}{again} (mode {mode})")
            }
            Self::Switch { interface, to, .. } => write!(f, "~ guard on {interface}: {to}"),
            Self::Mode { interface, from, to } => {
                write!(f, "~ guard on {interface}: mode {} → {}", from.label(), to.label())
            }
            Self::Remove { interface } => write!(f, "- guard on {interface}"),
        }
    }
}
