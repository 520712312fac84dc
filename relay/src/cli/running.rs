//! What there is of a relay on this host, read once and told by every verb alike.

use std::{collections::BTreeMap, env};

use anyhow::Result;
use relay_common::{
    Reason,
    names::{ANSWER, PASSED},
};

use super::guard::{Guarding, unanswered};
use crate::{
    datapath::{
        Classifier, Counters, Datapath, DatapathError, Direction, GuardAttempt, GuardCounts, Hook,
        Observed,
    },
    model::{InterfaceName, Peer, PublicKey, Relay},
    net::{
        Handle, NetError, classifier,
        fence::{self, Drops, Fence, FenceState, Marks},
        link::{self, Link},
    },
    stats::{Observation, PeerObservation, Policy},
    wireguard::{self, Device, DevicePeer},
};

/// How often the hooks are looked at where a switch of generations comes between.
const LOOKS: u32 = 10;

/// The kernel's side of a relay. What could not be read is kept as an error: one verb fails for
/// it, another tells of it.
pub(super) struct Running {
    /// The link of the interface's name.
    pub(super) link: Option<Link>,
    /// WireGuard on it.
    pub(super) device: Option<Device>,
    /// The hooks of the interface, which are there without any pin.
    pub(super) hooks: [Hook; 2],
    /// The datapath with what is pinned.
    pub(super) datapath: Result<Observed, DatapathError>,
    /// The fence, compared with the one that the configuration asks for.
    pub(super) fence: Result<FenceState, NetError>,
    /// What it has dropped; of one that cannot be read, nothing.
    drops: Drops,
    /// The guard on the underlay.
    pub(super) guard: Guarding,
}

impl Running {
    /// Reads all of it. Touches nothing.
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
        let fence = fence::observe(&fence(relay));
        Ok(Self {
            link,
            device,
            datapath: datapath.observe(hooks.clone()),
            hooks,
            drops: fence.as_ref().map(|(_, drops)| *drops).unwrap_or_default(),
            fence: fence.map(|(state, _)| state),
            guard: Guarding::observe(handle, relay, datapath).await?,
        })
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

    /// What the operator should know of the hooks and the underlay.
    pub(super) fn warnings(&self) -> Vec<String> {
        let of = |hook: &Hook| {
            let program = hook.direction.program();
            let foreign = hook.foreign.iter();
            foreign
                .map(|other| format!("{other} runs before {program} and may decide in its place"))
                .collect::<Vec<_>>()
        };
        let guard = self.guard.chosen.warnings.iter().map(|warning| format!("guard: {warning}"));
        self.hooks.iter().flat_map(of).chain(guard).collect()
    }

    /// What keeps the guard from where it is wanted.
    pub(super) fn guard_obstacles(&self) -> Vec<String> {
        match (&self.guard.hooks, &self.datapath) {
            // Without a BPF file system neither can be read, and that is said.
            (Err(_), Err(_)) => Vec::new(),
            _ => self.guard.obstacles(),
        }
    }

    /// What the peers do, by their names in the configuration; those it does not name come last.
    pub(super) fn observation(
        &self,
        relay: &Relay,
        counters: &Counters,
        guard_messages: GuardCounts,
        guard_attempts: &[GuardAttempt],
    ) -> Observation {
        let hide = env::var("WG_HIDE_KEYS").is_ok_and(|value| value == "always");
        let show = |key: &PublicKey| if hide { "(hidden)".to_owned() } else { key.to_string() };
        let device = self.device.iter();
        let mut present: BTreeMap<PublicKey, &DevicePeer> =
            device.flat_map(|device| &device.peers).map(|peer| (peer.public_key, peer)).collect();
        let counted = |key: &PublicKey| {
            let none = (Default::default(), [0; Reason::COUNT]);
            counters.peers.get(key).copied().unwrap_or(none)
        };
        let running = |name: String, peer: &DevicePeer| {
            let (counters, refused) = counted(&peer.public_key);
            PeerObservation {
                name,
                public_key: show(&peer.public_key),
                enabled: true,
                has_preshared_key: peer.preshared_key.is_some(),
                endpoint: peer.endpoint,
                allowed_ips: peer.allowed_ips.clone(),
                latest_handshake: peer.latest_handshake,
                transfer_rx: peer.rx_bytes,
                transfer_tx: peer.tx_bytes,
                persistent_keepalive: peer.persistent_keepalive,
                counters,
                refused,
            }
        };
        let disabled = |peer: &Peer| {
            let (counters, refused) = counted(&peer.public_key);
            PeerObservation {
                name: peer.name.to_string(),
                public_key: show(&peer.public_key),
                enabled: false,
                has_preshared_key: peer.preshared_key_file.is_some(),
                endpoint: None,
                allowed_ips: peer.owned().collect(),
                latest_handshake: None,
                transfer_rx: 0,
                transfer_tx: 0,
                persistent_keepalive: None,
                counters,
                refused,
            }
        };
        let is_up = self.device.is_some();
        let named: Vec<_> = relay
            .peers
            .iter()
            .filter_map(|peer| match present.remove(&peer.public_key) {
                Some(there) => Some(running(peer.name.to_string(), there)),
                None => (is_up && !peer.enabled).then(|| disabled(peer)),
            })
            .collect();
        let unnamed = present.into_values().map(|peer| running(show(&peer.public_key), peer));
        let peers = named.into_iter().chain(unnamed);
        let key = self.device.as_ref().and_then(|device| device.public_key.as_ref());
        Observation {
            interface: relay.interface.to_string(),
            public_key: key.map_or_else(String::new, show),
            listen_port: self.device.as_ref().map_or(0, |device| device.listen_port),
            fwmark: self.device.as_ref().map_or(0, |device| device.fwmark),
            policy: self.policy(),
            peers: peers.collect(),
            unattributed: counters.unattributed,
            fence_dropped: self.drops.iter().map(|(why, packets)| (why.label(), packets)).collect(),
            guard: self.guard.shown(),
            guard_messages,
            guard_unanswered: unanswered(guard_attempts),
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

async fn hooks_of(handle: &Handle, link: Option<&Link>, datapath: &Datapath) -> Result<[Hook; 2]> {
    for _ in 1..LOOKS {
        match datapath.hooks(&classifiers(handle, link).await?) {
            Err(error) if error.is_of_the_moment() => {}
            looked => return Ok(looked?),
        }
    }
    Ok(datapath.hooks(&classifiers(handle, link).await?)?)
}

/// A hash as it is shown.
pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fence that belongs to the programs.
pub(super) fn fence(relay: &Relay) -> Fence {
    Fence::of(relay, Marks { passed: PASSED, answer: ANSWER })
}

/// The clsact filters of a link, as the datapath takes them.
async fn classifiers(handle: &Handle, link: Option<&Link>) -> Result<Vec<Classifier>> {
    let Some(link) = link else { return Ok(Vec::new()) };
    let found = classifier::read(handle, link.index).await?;
    let found = found.into_iter().map(|filter| Classifier {
        direction: if filter.egress { Direction::Egress } else { Direction::Ingress },
        priority: filter.priority,
        handle: filter.handle,
        program_id: filter.program_id,
    });
    Ok(found.collect())
}
