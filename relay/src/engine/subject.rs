use std::path::{Path, PathBuf};

use super::{Result, claim};
use crate::{
    config::{self, Loaded, Options},
    model::{HostAccess, InterfaceName, Relay},
    net,
};

/// The relay that a verb looks at.
#[derive(Debug)]
pub enum Subject {
    /// As its configuration describes it.
    Configured(Loaded),
    /// By its interface alone.
    Bare {
        /// A relay with that interface and without peers.
        relay: Relay,
        /// Why nothing else is known.
        why: String,
    },
}

impl Subject {
    /// Reads the configuration; asks the kernel if that is invalid.
    ///
    /// # Errors
    /// The configuration is invalid, and no interface was brought up from it.
    pub async fn find(config: &Path, interface: Option<&InterfaceName>) -> Result<Self> {
        let file = config.display();
        match (config::load(config, Options { allow_empty: true }), interface) {
            (Ok(loaded), None) => Ok(Self::Configured(loaded)),
            (Ok(loaded), Some(interface)) if loaded.relay.interface == *interface => {
                Ok(Self::Configured(loaded))
            }
            (Ok(loaded), Some(interface)) => {
                let why = format!(
                    "{file} describes {}, so there is nothing to compare {interface} with",
                    loaded.relay.interface
                );
                Ok(Self::bare(interface, why))
            }
            (Err(problems), interface) => {
                let known = match interface {
                    Some(interface) => Some(interface.clone()),
                    None => claim::of(&net::connect()?, config).await?.into_iter().next(),
                };
                let Some(interface) = known else { return Err(problems.into()) };
                let why = format!(
                    "{file} is invalid, so there is nothing to compare {interface} with; `relay check` \
                     reports the problems"
                );
                Ok(Self::bare(&interface, why))
            }
        }
    }

    /// The relay.
    pub const fn relay(&self) -> &Relay {
        match self {
            Self::Configured(loaded) => &loaded.relay,
            Self::Bare { relay, .. } => relay,
        }
    }

    /// Why the relay is compared with nothing, if it is not.
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Configured(_) => None,
            Self::Bare { why, .. } => Some(why),
        }
    }

    fn bare(interface: &InterfaceName, why: String) -> Self {
        let relay = Relay {
            listen_port: 0,
            private_key_file: PathBuf::new(),
            mtu: 0,
            host_access: HostAccess::None,
            // So that pairs are shown if the relay counts them.
            pair_stats: true,
            ..Relay::new(interface.clone())
        };
        Self::Bare { relay, why }
    }
}
