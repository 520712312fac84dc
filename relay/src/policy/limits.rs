//! Limits of peers as the programs read them.

use relay_common::{
    limits::{HIGHEST_RATE, LOWEST_RATE, Limits, Rate},
    period,
};

use super::sources::Sources;
use crate::model::{self, Period, Relay};

// What the configuration takes is what the programs reckon with.
const _: () = assert!(model::Rate::MIN.bits_per_second() == LOWEST_RATE);
const _: () = assert!(model::Rate::MAX.bits_per_second() == HIGHEST_RATE);

/// Whether any peer has limits.
pub(super) fn exist(relay: &Relay) -> bool {
    relay.peers.iter().any(|peer| peer.limits.exist())
}

/// Limits of each slot up to the highest; none if no peer has any.
pub(super) fn of(sources: &Sources<'_>) -> Vec<Limits> {
    if !exist(sources.relay) {
        return Vec::new();
    }
    let highest = sources.slots.iter().copied().max().unwrap_or(0);
    let mut limits = vec![Limits::NONE; highest as usize + 1];
    for (slot, peer) in sources.peers() {
        limits[slot as usize] = limits_of(&peer.limits);
    }
    limits
}

fn limits_of(peer: &model::Limits) -> Limits {
    let rate = |rate: Option<model::Rate>| {
        rate.map_or(Rate::UNLIMITED, |rate| Rate::of(rate.bits_per_second()))
    };
    let mut limits = Limits::of_rates(rate(peer.rate_from), rate(peer.rate_to));
    if let Some(quota) = peer.quota {
        limits = limits.with_quota(quota.bytes, period_of(quota.period));
    }
    if let Some(quota) = peer.quota_from {
        limits = limits.with_quota_from(quota.bytes, period_of(quota.period));
    }
    if let Some(quota) = peer.quota_to {
        limits = limits.with_quota_to(quota.bytes, period_of(quota.period));
    }
    limits
}

/// A period of a quota, as the programs compute it.
pub const fn period_of(period: Period) -> period::Period {
    match period {
        Period::Day => period::Period::Day,
        Period::Week => period::Period::Week,
        Period::Month => period::Period::Month,
    }
}
