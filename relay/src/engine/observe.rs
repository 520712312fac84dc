//! What the kernel has of a relay, read once for every verb.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Result, desired, guard::Guarding};
use crate::{
    datapath::{Classifier, Datapath, DatapathError, Hook, Observed},
    model::{InterfaceName, PublicKey, Relay},
    net::{
        Handle, NetError, classifier,
        fence::{self, Drops, FenceState},
        link::{self, Link},
    },
    stats::Policy,
    wireguard::{self, Device},
};

/// How often the hooks are read again when a switch of generations interferes.
const READS: u32 = 10;

/// The kernel's side of a relay. What cannot be read is kept as an error: one verb fails, another
/// reports it.
pub(super) struct Running {
    /// The link with the interface's name.
    pub(super) link: Option<Link>,
    /// WireGuard on it.
    pub(super) device: Option<Device>,
    /// The hooks of the interface, which exist without any pin.
    pub(super) hooks: [Hook; 2],
    /// The datapath, as its pins tell.
    pub(super) datapath: Result<Observed, DatapathError>,
    /// Whether anything is pinned.
    pub(super) has_pins: bool,
    /// The fence, compared with the desired one.
    pub(super) fence: Result<FenceState, NetError>,
    /// Packets that the fence has dropped; zeros if it cannot be read.
    pub(super) drops: Drops,
    /// The guard on the underlay.
    pub(super) guard: Guarding,
}

impl Running {
    /// Reads all of it.
    ///
    /// # Errors
    /// The kernel does not answer, or the interface is of another kind.
    pub(super) async fn observe(
        handle: &Handle,
        relay: &Relay,
        datapath: &Datapath,
    ) -> Result<Self> {
        let interface = &relay.interface;
        let link = link::read(handle, interface).await?;
        let device = match &link {
            Some(link) => {
                link.require_wireguard(interface)?;
                wireguard::read(interface)?
            }
            None => None,
        };
        let hooks = hooks_of(handle, link.as_ref(), datapath).await?;
        let fence = fence::observe(&desired::fence(relay));
        Ok(Self {
            link,
            device,
            has_pins: datapath.exists(),
            datapath: datapath.observe(hooks.clone()),
            hooks,
            drops: fence.as_ref().map(|(_, drops)| *drops).unwrap_or_default(),
            fence: fence.map(|(state, _)| state),
            guard: Guarding::observe(handle, relay, datapath).await?,
        })
    }

    /// Slots of the peers: those observed, or read if the datapath could not be.
    ///
    /// # Errors
    /// The pin cannot be read, or has another shape.
    pub(super) fn slots(
        &self,
        datapath: &Datapath,
    ) -> Result<Cow<'_, BTreeMap<PublicKey, u32>>, DatapathError> {
        match &self.datapath {
            Ok(observed) => Ok(Cow::Borrowed(&observed.slots.peers)),
            Err(_reported) => datapath.slots().map(Cow::Owned),
        }
    }

    /// The policy in force on both hooks.
    pub(super) fn policy(&self) -> Option<Policy> {
        let [ingress, egress] = &self.hooks;
        let mode = ingress.mode?;
        let generation = ingress.generation.filter(|_| ingress.generation == egress.generation)?;
        Some(Policy {
            generation: generation.number,
            hash: hex(&generation.policy_hash),
            mode: mode.label(),
        })
    }

    /// Warnings about the hooks and the underlay.
    pub(super) fn warnings(&self) -> Vec<String> {
        let of = |hook: &Hook| {
            let program = hook.direction.program();
            let foreign = hook.foreign.iter();
            foreign
                .map(|other| format!("{other} runs before {program} and may decide instead of it"))
                .collect::<Vec<_>>()
        };
        let guard = self.guard.chosen.warnings.iter().map(|warning| format!("guard: {warning}"));
        self.hooks.iter().flat_map(of).chain(guard).collect()
    }

    /// Why the guard is missing where it is desired.
    pub(super) fn guard_obstacles(&self) -> Vec<String> {
        match (&self.guard.hooks, &self.datapath) {
            // Without a BPF file system neither can be read; the datapath's error reports it.
            (Err(_), Err(_)) => Vec::new(),
            _ => self.guard.obstacles(),
        }
    }
}

/// The hooks of an interface alone.
///
/// # Errors
/// The kernel does not answer.
pub(super) async fn hooks(
    handle: &Handle,
    interface: &InterfaceName,
    datapath: &Datapath,
) -> Result<[Hook; 2]> {
    let link = link::read(handle, interface).await?;
    hooks_of(handle, link.as_ref(), datapath).await
}

/// The datapath of an interface alone.
///
/// # Errors
/// The kernel does not answer, or the datapath cannot be observed.
pub(super) async fn datapath(
    handle: &Handle,
    interface: &InterfaceName,
    datapath: &Datapath,
) -> Result<Observed> {
    Ok(datapath.observe(hooks(handle, interface, datapath).await?)?)
}

async fn hooks_of(handle: &Handle, link: Option<&Link>, datapath: &Datapath) -> Result<[Hook; 2]> {
    for _ in 1..READS {
        match datapath.hooks(&classifiers(handle, link).await?) {
            Err(error) if error.is_transient() => {}
            hooks => return Ok(hooks?),
        }
    }
    Ok(datapath.hooks(&classifiers(handle, link).await?)?)
}

/// The hexadecimal digits of a hash or a packet.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The clsact filters of a link.
async fn classifiers(handle: &Handle, link: Option<&Link>) -> Result<Vec<Classifier>> {
    let Some(link) = link else { return Ok(Vec::new()) };
    Ok(classifier::read(handle, link.index).await?)
}
