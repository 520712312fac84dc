//! What peers have used of their quotas, and what to do with it.

use std::collections::BTreeMap;

use relay_common::{meter::Used, period::DAY_S};

use super::{
    Classified, Context, Kind, Result,
    explain::did_you_mean,
    instant::{now, rfc3339},
    saved,
};
use crate::{
    model::{InterfaceName, Limits, Peer, PeerName, PublicKey, Quota, Relay},
    policy::period_of,
    stats::{QuotaTraffic, QuotaUse, Quotas},
};

/// A peer that the configuration does not have.
#[derive(Debug, thiserror::Error)]
#[error("{peer} is no peer of {interface}{hint}")]
struct UnknownPeer {
    peer: PeerName,
    interface: InterfaceName,
    hint: String,
}

impl Classified for UnknownPeer {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// What each peer with a quota has used of it, or one of them.
///
/// # Errors
/// There is no such peer, the relay is not up, or a pin cannot be read.
pub fn quotas(context: &Context, only: Option<&PeerName>) -> Result<Quotas> {
    let relay = context.relay();
    if let Some(name) = only {
        named(relay, name)?;
    }
    context.require_up()?;
    let mut quotas = of(relay, &used(context)?);
    quotas.retain(|quota| only.is_none_or(|only| only.as_str() == quota.peer));
    Ok(Quotas::new(relay.interface.as_str(), quotas))
}

/// What each peer has used.
fn used(context: &Context) -> Result<BTreeMap<PublicKey, Used>> {
    let datapath = context.datapath();
    Ok(datapath.used(&datapath.slots()?)?)
}

/// The quotas of all peers, given what each has used.
pub(super) fn of(relay: &Relay, used: &BTreeMap<PublicKey, Used>) -> Vec<QuotaUse> {
    let today = now() / DAY_S;
    let peers = relay.peers.iter().flat_map(|peer| {
        let used = used.get(&peer.public_key).copied().unwrap_or_default();
        of_peer(peer, &used, today)
    });
    peers.collect()
}

/// A sentence for each quota that leaves less than a packet.
pub(super) fn used_up(relay: &Relay, used: &BTreeMap<PublicKey, Used>) -> Vec<String> {
    let packet = u64::from(relay.mtu);
    let quotas = of(relay, used).into_iter();
    let up = quotas.filter(|quota| quota.used_bytes.saturating_add(packet) > quota.limit_bytes);
    up.map(|quota| {
        let QuotaUse { peer, resets_at, .. } = quota;
        format!("{peer} has used up its quota, which resets at {resets_at}")
    })
    .collect()
}

/// Resets the quotas of a peer.
///
/// # Errors
/// There is no such peer, the relay is not up, or a pin cannot be read.
pub fn reset_quotas(context: &Context, name: &PeerName) -> Result<()> {
    let peer = named(context.relay(), name)?;
    context.require_up()?;
    Ok(context.datapath().reset_used(&peer.public_key)?)
}

/// Saves what peers have used, for `up` after a reboot. How many have used anything.
///
/// # Errors
/// The relay is not up, a pin cannot be read, or the file not written.
pub fn save_quotas(context: &Context) -> Result<usize> {
    context.require_up()?;
    let used = used(context)?;
    // Without limits nothing tells what was used, and what was saved before stands.
    if used.is_empty() {
        Ok(0)
    } else {
        saved::write(context.state(), &context.relay().interface, &used)
    }
}

fn named<'r>(relay: &'r Relay, name: &PeerName) -> Result<&'r Peer, UnknownPeer> {
    let peer = relay.named(name.as_str()).map(|(_, peer)| peer);
    peer.ok_or_else(|| UnknownPeer {
        peer: name.clone(),
        interface: relay.interface.clone(),
        hint: did_you_mean(name.as_str(), relay.peers.iter().map(|peer| peer.name.as_str())),
    })
}

fn of_peer(peer: &Peer, used: &Used, today: u64) -> Vec<QuotaUse> {
    let Limits { quota, quota_from, quota_to, .. } = peer.limits;
    let shown = |traffic, quota: Option<Quota>, bytes: u64| {
        let Quota { bytes: limit_bytes, period } = quota?;
        let day = used.day.max(today);
        let used_bytes = if period_of(period).next(used.day) <= day { 0 } else { bytes };
        Some(QuotaUse {
            peer: peer.name.to_string(),
            traffic,
            used_bytes,
            limit_bytes,
            period: period.name(),
            resets_at: rfc3339(period_of(period).next(day) * DAY_S),
        })
    };
    let Used { used_from, used_to, .. } = *used;
    [
        shown(QuotaTraffic::Both, quota, used_from.saturating_add(used_to)),
        shown(QuotaTraffic::From, quota_from, used_from),
        shown(QuotaTraffic::To, quota_to, used_to),
    ]
    .into_iter()
    .flatten()
    .collect()
}
