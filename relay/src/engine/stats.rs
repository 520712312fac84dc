//! What a running relay counts, for everything that shows it.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    time::{Duration, SystemTime},
};

use relay_common::counters::RuleCounters;

use super::{
    Classified, Context, HostError, Kind, Result,
    guard::unanswered,
    instant::{booted, rfc3339, seconds},
    observe::Running,
    quotas,
};
use crate::{
    datapath::{Counters, GuardAttempt, GuardCounts},
    graph::Traffic,
    learnt::RuleUses,
    model::{Peer, PublicKey, Relay, Rule},
    stats::{Dropped, HIDDEN, Observation, Pairs, PeerObservation, RuleTraffic, RuleUse, Snapshot},
    wireguard::DevicePeer,
};

/// Traffic of pairs was asked for, but the relay does not count it.
#[derive(Debug, thiserror::Error)]
#[error("pairs are not counted; write `pair_stats = true` below [relay] and run `relay up`")]
pub(super) struct PairsNotCounted;

impl Classified for PairsNotCounted {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// The peers of a relay and what they have transferred.
///
/// # Errors
/// The relay is not up, or the kernel does not answer.
pub async fn snapshot(context: &Context) -> Result<Snapshot> {
    let (relay, datapath) = (context.relay(), context.datapath());
    let running = Running::observe(context.handle(), relay, datapath).await?;
    if running.device.is_none() {
        return Err(HostError::NotUp { interface: relay.interface.clone() }.into());
    }
    let slots = running.slots(datapath)?;
    let observation = running.observation(
        relay,
        (&slots, &datapath.counters(&slots)?),
        datapath.guard_counts()?,
        &datapath.guard_attempts()?,
    );
    let quotas = quotas::of(relay, &datapath.used(&slots)?);
    Ok(Snapshot::new(Observation { quotas, ..observation }))
}

/// What each rule has let through since it was first configured.
///
/// # Errors
/// The relay is not up, or a pin cannot be read.
pub fn rules(context: &Context) -> Result<RuleTraffic> {
    context.require_up()?;
    let booted = booted();
    let counts = context.datapath().rule_counts()?.into_iter();
    let counts = counts.map(|(name, counters)| {
        let last = last_use(&counters, booted).map(|last| (rfc3339(last), last));
        (name.to_string(), RuleUse { counters, last })
    });
    Ok(RuleTraffic::new(context.relay().interface.as_str(), counts))
}

/// When each rule of the configuration last let a packet through.
///
/// # Errors
/// The relay is not up, or a pin cannot be read.
pub(super) fn rule_uses(context: &Context) -> Result<RuleUses> {
    context.require_up()?;
    let (counts, booted) = (context.datapath().rule_counts()?, booted());
    let last = |rule: &Rule| last_use(counts.get(&rule.name)?, booted);
    Ok(context.relay().rules.iter().map(last).collect())
}

/// When a rule last let a packet through, seconds since 1970-01-01T00:00:00Z.
fn last_use(counters: &RuleCounters, booted: SystemTime) -> Option<u64> {
    (counters.last_ns != 0).then(|| seconds(booted + Duration::from_nanos(counters.last_ns)))
}

/// What each pair of peers has exchanged. A peer that is no longer configured goes by its key.
///
/// # Errors
/// Pairs are not counted, the relay is not up, or a pin cannot be read.
pub fn pairs(context: &Context) -> Result<Pairs> {
    let (relay, datapath) = (context.relay(), context.datapath());
    if !relay.pair_stats {
        return Err(PairsNotCounted.into());
    }
    context.require_up()?;
    let names = names_of_slots(relay, &datapath.slots()?);
    let name = |slot: u32| names.get(&slot).cloned().unwrap_or_else(|| "?".to_owned());
    let traffic = datapath.pairs()?;
    let counted = traffic.pairs.into_iter();
    let named = counted.map(|((from, to), counters)| (name(from), name(to), counters));
    Ok(Pairs::new(relay.interface.as_str(), named, traffic.others))
}

/// What the peers with these slots are called; one that is no longer configured goes by its key.
pub(super) fn names_of_slots(
    relay: &Relay,
    slots: &BTreeMap<PublicKey, u32>,
) -> HashMap<u32, String> {
    let names: HashMap<_, _> =
        relay.peers.iter().map(|peer| (peer.public_key, &peer.name)).collect();
    let name = |key| names.get(key).map_or_else(|| key.to_string(), |name| name.to_string());
    slots.iter().map(|(key, slot)| (*slot, name(key))).collect()
}

/// What a picture of the relay shows as the width of its lines: bytes of each peer, and of each
/// pair if pairs are counted.
///
/// # Errors
/// The relay is not up, or the kernel does not answer.
pub async fn traffic(context: &Context) -> Result<Traffic> {
    let relay = context.relay();
    let snapshot = snapshot(context).await?;
    let relayed: HashMap<&str, u64> = snapshot
        .peers
        .iter()
        .map(|peer| (&*peer.name, peer.relayed.rx_bytes + peer.relayed.tx_bytes))
        .collect();
    let of = |name: &str| relayed.get(name).copied().unwrap_or(0);
    let peers = relay.peers.iter().map(|peer| of(peer.name.as_str())).collect();
    let pairs = if relay.pair_stats { Some(bytes_of_pairs(context)?) } else { None };
    Ok(Traffic::new(peers, pairs))
}

/// Bytes between two peers in both directions, by their positions in the configuration.
fn bytes_of_pairs(context: &Context) -> Result<HashMap<(usize, usize), u64>> {
    let datapath = context.datapath();
    let slots = datapath.slots()?;
    let peers = context.relay().peers.iter().enumerate();
    let position: HashMap<u32, usize> = peers
        .filter_map(|(position, peer)| Some((*slots.get(&peer.public_key)?, position)))
        .collect();
    let mut pairs = HashMap::new();
    for ((from, to), counters) in datapath.pairs()?.pairs {
        // The picture has no peer that is no longer configured.
        if let Some((&from, &to)) = position.get(&from).zip(position.get(&to)) {
            *pairs.entry((from.min(to), from.max(to))).or_default() += counters.bytes;
        }
    }
    Ok(pairs)
}

impl Running {
    /// The peers by their names in the configuration; those that it does not name come last.
    pub(super) fn observation(
        &self,
        relay: &Relay,
        (slots, counters): (&BTreeMap<PublicKey, u32>, &Counters),
        guard_messages: GuardCounts,
        guard_attempts: &[GuardAttempt],
    ) -> Observation {
        let hide = env::var("WG_HIDE_KEYS").is_ok_and(|value| value == "always");
        let show = |key: &PublicKey| if hide { HIDDEN.to_owned() } else { key.to_string() };
        let device = self.device.iter();
        let mut present: HashMap<PublicKey, &DevicePeer> =
            device.flat_map(|device| &device.peers).map(|peer| (peer.public_key, peer)).collect();
        let counted = |key: &PublicKey| {
            let counted = slots.get(key).map(|slot| counters.of(*slot));
            let (counters, dropped) = counted.unwrap_or_default();
            (counters, Dropped::new(dropped))
        };
        let running = |name: String, peer: &DevicePeer| {
            let (counters, dropped) = counted(&peer.public_key);
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
                dropped,
            }
        };
        let disabled = |peer: &Peer| {
            let (counters, dropped) = counted(&peer.public_key);
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
                dropped,
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
        let is_unnamed = |peer: &&DevicePeer| present.contains_key(&peer.public_key);
        let unnamed = self.device.iter().flat_map(|device| &device.peers).filter(is_unnamed);
        let unnamed = unnamed.map(|peer| running(show(&peer.public_key), peer));
        let peers = named.into_iter().chain(unnamed);
        let key = self.device.as_ref().and_then(|device| device.public_key.as_ref());
        Observation {
            interface: relay.interface.to_string(),
            public_key: key.map_or_else(String::new, show),
            listen_port: self.device.as_ref().map_or(0, |device| device.listen_port),
            fwmark: self.device.as_ref().map_or(0, |device| device.fwmark),
            policy: self.policy(),
            peers: peers.collect(),
            quotas: Vec::new(),
            unattributed: Dropped::new(counters.unattributed()),
            fence_dropped: self.drops.iter().map(|(why, packets)| (why.label(), packets)).collect(),
            guard: self.guard.shown(),
            guard_messages,
            guard_unanswered: unanswered(guard_attempts),
        }
    }
}
