//! Packets that the policy lets pass and a limit drops now.

use relay_common::Reason;

use crate::{
    model::{Limits, Quota, Rate},
    policy::{Explanation, Party},
};

/// Which keys to change for a packet that a limit drops; none for other reasons.
pub(super) fn remedies(explanation: &Explanation<'_>, reason: Option<Reason>) -> Vec<String> {
    let Explanation { source, destination, .. } = explanation;
    let [from, to] = [source, destination].map(limits_of);
    let key = |limits: &Limits, rate: Option<Rate>, quota: Option<Quota>, keys: [_; 2]| {
        let [by_rate, by_quota] = keys;
        if reason == Some(Reason::Rate) {
            rate.map(|_| by_rate)
        } else if reason == Some(Reason::Quota) {
            limits.quota.map(|_| "quota").or(quota.map(|_| by_quota))
        } else {
            None
        }
    };
    let keys = [
        (source, key(&from, from.rate_from, from.quota_from, ["rate_from", "quota_from"])),
        (destination, key(&to, to.rate_to, to.quota_to, ["rate_to", "quota_to"])),
    ];
    let raise = keys.into_iter().filter_map(|(party, key)| {
        let (key, (_, peer)) = (key?, party.peer?);
        let name = &peer.name;
        let reset = match reason == Some(Reason::Quota) {
            true => format!(", or run `relay quota --reset {name}`"),
            false => String::new(),
        };
        Some(format!("raise {key} of {name} and run `relay up`{reset}"))
    });
    raise.collect()
}

/// Whether a limit drops it, of which the configuration alone knows nothing.
pub(super) const fn is_over(reason: Option<Reason>) -> bool {
    matches!(reason, Some(Reason::Rate | Reason::Quota))
}

fn limits_of(party: &Party<'_>) -> Limits {
    party.peer.map_or_else(Limits::default, |(_, peer)| peer.limits)
}
