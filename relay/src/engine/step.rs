//! One step of `up`: what it changes, how it is applied, and how it is undone.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::{
    Result,
    down::delete_interface,
    guard::{GuardFailure, GuardPlan},
    mesh::transit::{self, Tunnel},
    saved, trial,
};
use crate::{
    config::create_private_key,
    datapath::{Datapath, Observed, Repair, Retimed, Slots, Trial},
    model::{InterfaceName, Mesh, PrivateKey},
    net::{
        Handle,
        address::{self, AddressChange},
        fence::{self, Fence},
        link::{self, LinkChange},
        route::{self, RouteChange},
    },
    policy::Compiled,
    wireguard::{self, Change},
};

/// Changes that are applied together. Its text has a line for each of them.
pub(super) enum Step {
    PutUpFence {
        table: String,
        fence: Fence,
    },
    Link(LinkChange),
    WritePrivateKey {
        path: PathBuf,
        key: PrivateKey,
    },
    /// Of WireGuard: peers and allowed IPs that go, and the port.
    Narrow(Vec<Change>),
    /// Pins of other versions are taken over, and lost counters pinned again.
    KeepCounters(Vec<Repair>),
    Policy {
        compiled: Box<Compiled>,
        slots: Slots,
        number: u64,
        has_pins: bool,
        /// Why it is in force but put in force again.
        retimed: Option<Retimed>,
        /// The same: it compares, and no candidate is there.
        is_unpaired: bool,
        /// Whether a candidate is tried beside the policy that goes.
        ends_trial: bool,
    },
    /// Stale programs go, and what is left of a trial.
    Detach(Vec<Repair>),
    /// Of WireGuard: the key, and peers and allowed IPs that come.
    Widen(Vec<Change>),
    Guard(GuardPlan),
    Addresses {
        changes: Vec<AddressChange>,
        desired: Vec<IpNet>,
    },
    /// Without changes, the routes that the interface loses with its addresses.
    Routes {
        changes: Vec<RouteChange>,
        desired: Vec<IpNet>,
    },
    /// Tunnels to relays that the site has no more.
    RemoveTransits(Vec<InterfaceName>),
    /// Tunnels to other relays of the site.
    Transits {
        mesh: Mesh,
        tunnels: Vec<Tunnel>,
    },
    TakeDownFence {
        table: String,
    },
}

/// What the steps are applied to.
pub(super) struct Target<'a> {
    pub(super) interface: &'a InterfaceName,
    pub(super) listen_port: u16,
    pub(super) handle: &'a Handle,
    pub(super) datapath: &'a Datapath,
    pub(super) observed: &'a Observed,
    /// The directory of what outlives a reboot.
    pub(super) state: &'a Path,
}

/// Removes what a step created. In order: the interfaces first, since policy and fence hold while they
/// go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Undo {
    DeleteTransits,
    DeleteInterface,
    RemovePins,
    TakeDownFence,
}

impl Step {
    /// Applies it. The relay works without its guard: what of that cannot be changed is returned.
    pub(super) async fn apply(&self, target: &Target<'_>) -> Result<Vec<GuardFailure>> {
        let Target { interface, listen_port, handle, datapath, observed, state } = *target;
        match self {
            Self::PutUpFence { fence, .. } => fence::put_up(fence)?,
            Self::Link(change) => link::apply(handle, change, listen_port).await?,
            Self::WritePrivateKey { path, key } => create_private_key(path, key)?,
            Self::Narrow(changes) | Self::Widen(changes) => wireguard::apply(interface, changes)?,
            Self::KeepCounters(_) => datapath.keep_counters(observed)?,
            Self::Policy { compiled, slots, number, .. } => {
                // The relay works without.
                let saved = saved::read(state, interface).unwrap_or_else(|error| {
                    tracing::warn!("{interface}: {}", error.chain());
                    BTreeMap::new()
                });
                datapath.switch(compiled, slots, observed, *number, &saved)?;
                trial::forget(interface)?;
            }
            Self::Detach(_) => {
                datapath.detach_stale(observed)?;
                if observed.trial() == Trial::Broken {
                    trial::forget(interface)?;
                }
            }
            Self::Guard(plan) => return Ok(plan.apply(datapath)),
            Self::Addresses { desired, .. } => address::apply(handle, interface, desired).await?,
            Self::Routes { desired, .. } => route::apply(handle, interface, desired).await?,
            Self::RemoveTransits(gone) => transit::remove(handle, gone, datapath).await?,
            Self::Transits { mesh, tunnels } => {
                for tunnel in tunnels {
                    tunnel.apply(handle, interface, mesh, datapath).await?;
                }
            }
            Self::TakeDownFence { .. } => fence::take_down(interface).map(drop)?,
        }
        Ok(Vec::new())
    }

    /// How to undo it, applied or half applied, if it creates something that outlives this process.
    /// A private key stays: from now on it is the relay's identity.
    pub(super) const fn undo(&self) -> Option<Undo> {
        match self {
            Self::Link(LinkChange::Create { .. }) => Some(Undo::DeleteInterface),
            // The counters of a relay whose interface somebody deleted stay.
            Self::Policy { has_pins: false, .. } => Some(Undo::RemovePins),
            Self::PutUpFence { .. } => Some(Undo::TakeDownFence),
            Self::Transits { .. } => Some(Undo::DeleteTransits),
            Self::Link(_)
            | Self::WritePrivateKey { .. }
            | Self::Narrow(_)
            | Self::KeepCounters(_)
            | Self::Policy { .. }
            | Self::Detach(_)
            | Self::Widen(_)
            | Self::Guard(_)
            | Self::Addresses { .. }
            | Self::Routes { .. }
            | Self::RemoveTransits(_)
            | Self::TakeDownFence { .. } => None,
        }
    }

    /// Whether something other than relay or an edit of the policy must have changed what this step
    /// restores. `status` judges fence, policy and programs by other means, and another alias
    /// neither opens nor closes anything.
    pub(super) const fn is_drift(&self) -> bool {
        match self {
            Self::Link(LinkChange::Alias { .. })
            | Self::PutUpFence { .. }
            | Self::WritePrivateKey { .. }
            | Self::KeepCounters(_)
            | Self::Policy { .. }
            | Self::Detach(_)
            | Self::TakeDownFence { .. } => false,
            Self::Link(_)
            | Self::Narrow(_)
            | Self::Widen(_)
            | Self::Guard(_)
            | Self::Addresses { .. }
            | Self::RemoveTransits(_)
            | Self::Transits { .. }
            | Self::Routes { .. } => true,
        }
    }

    /// A line for each change.
    pub(super) fn lines(&self) -> Vec<String> {
        fn texts<T: fmt::Display>(changes: &[T]) -> Vec<String> {
            changes.iter().map(ToString::to_string).collect()
        }
        match self {
            Self::PutUpFence { table, .. } => vec![format!("+ fence inet {table}")],
            Self::Link(change) => vec![change.to_string()],
            Self::WritePrivateKey { path, .. } => {
                vec![format!("+ private key file {}", path.display())]
            }
            Self::Narrow(changes) | Self::Widen(changes) => texts(changes),
            Self::KeepCounters(repairs) | Self::Detach(repairs) => texts(repairs),
            Self::Policy { number, retimed, is_unpaired, ends_trial, .. } => {
                let sign = if *number == 1 { '+' } else { '~' };
                let why = match retimed {
                    Some(retimed) => format!(": {retimed}"),
                    None if *is_unpaired => ": it compares with no candidate".to_owned(),
                    None => String::new(),
                };
                let policy = format!("{sign} policy generation {number}{why}");
                let trial = ends_trial.then(|| "- trial: ends with the policy".to_owned());
                std::iter::once(policy).chain(trial).collect()
            }
            Self::Guard(plan) => plan.lines().collect(),
            Self::Addresses { changes, .. } => texts(changes),
            Self::Routes { changes, .. } => texts(changes),
            Self::RemoveTransits(gone) => {
                gone.iter().map(|interface| format!("- interface {interface}")).collect()
            }
            Self::Transits { tunnels, .. } => tunnels.iter().flat_map(Tunnel::lines).collect(),
            Self::TakeDownFence { table } => vec![format!("- fence inet {table}")],
        }
    }
}

impl Undo {
    pub(super) async fn apply(self, target: &Target<'_>) -> Result<()> {
        match self {
            Self::DeleteTransits => {
                let Target { handle, interface, datapath, .. } = *target;
                transit::delete_all(handle, interface, datapath).await?;
            }
            Self::DeleteInterface => delete_interface(target.handle, target.interface).await?,
            Self::RemovePins => target.datapath.remove().map(drop)?,
            Self::TakeDownFence => fence::take_down(target.interface).map(drop)?,
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}
