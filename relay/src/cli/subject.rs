//! What a verb that looks is about: the relay of the configuration, or where the files are not
//! right what the kernel knows of it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{claim, output};
use crate::{
    config::{self, Loaded, Options},
    model::{Egress, HostAccess, InterfaceName, Relay},
    net,
};

/// Which relay to look at.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Look at the relay on this interface; without a configuration of it, peers go by their keys.
    #[arg(long, value_name = "NAME")]
    interface: Option<InterfaceName>,
}

/// The relay that is looked at.
#[derive(Debug)]
pub(super) enum Subject {
    /// As its configuration describes it.
    Configured(Loaded),
    /// By its interface alone.
    Bare {
        /// With that interface, and without peers.
        relay: Relay,
        /// Why nothing is known of it.
        why: String,
    },
}

impl Which {
    /// Reads the configuration; asks the kernel where that is not right.
    ///
    /// # Errors
    /// The configuration is not right, and the kernel knows of no interface that it was brought up
    /// on.
    pub(super) fn find(&self, config: &Path) -> Result<Subject> {
        let (loaded, file) =
            (config::load(config, Options { allow_empty: true }), config.display());
        match (loaded, &self.interface) {
            (Ok(loaded), None) => Ok(Subject::Configured(loaded)),
            (Ok(loaded), Some(interface)) if loaded.relay.interface == *interface => {
                Ok(Subject::Configured(loaded))
            }
            (Ok(loaded), Some(interface)) => {
                let why = format!(
                    "{file} is about {}, so {interface} is compared with nothing",
                    loaded.relay.interface
                );
                Ok(Subject::bare(interface, why))
            }
            (Err(problems), interface) => {
                let known = match interface {
                    Some(interface) => Some(interface.clone()),
                    None => brought_up(config)?,
                };
                let Some(interface) = known else { return Err(problems.into()) };
                let why = format!(
                    "{file} is not right, so {interface} is compared with nothing; `relay check` says \
                     what is wrong with it"
                );
                Ok(Subject::bare(&interface, why))
            }
        }
    }
}

impl Subject {
    /// The relay.
    pub(super) const fn relay(&self) -> &Relay {
        match self {
            Self::Configured(loaded) => &loaded.relay,
            Self::Bare { relay, .. } => relay,
        }
    }

    /// Says on standard error what is not known.
    pub(super) fn warn(&self) {
        match self {
            Self::Configured(_) => {}
            Self::Bare { why, .. } => output::warn(&[why]),
        }
    }

    fn bare(interface: &InterfaceName, why: String) -> Self {
        let relay = Relay {
            interface: interface.clone(),
            addresses: Vec::new(),
            listen_port: 0,
            endpoint: None,
            private_key_file: PathBuf::new(),
            mtu: 0,
            fast_path: true,
            host_access: HostAccess::None,
            egress: Egress::Deny,
            fence: true,
            // Where they are not counted there is nothing to show.
            pair_stats: true,
            guard: None,
            peers: Vec::new(),
        };
        Self::Bare { relay, why }
    }
}

/// The interface that the kernel says a configuration was brought up on.
fn brought_up(config: &Path) -> Result<Option<InterfaceName>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let interfaces = claim::of(&net::connect()?, config).await?;
        Ok(interfaces.into_iter().next())
    })
}
