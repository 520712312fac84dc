//! Limits of peers that two configurations set otherwise.

use std::fmt;

use serde::Serialize;

use crate::model::{Limits, Quota, Rate, Relay};

/// A limit of a peer that both configurations have, as the configuration writes it; none is
/// unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitChange {
    /// The peer's name.
    peer: String,
    /// The key.
    key: &'static str,
    before: Option<String>,
    after: Option<String>,
}

impl LimitChange {
    /// All of them, in the order of the new configuration.
    pub(super) fn all(before: &Relay, after: &Relay) -> Vec<Self> {
        let mut changes = Vec::new();
        for peer in &after.peers {
            let Some((_, old)) = before.named(peer.name.as_str()) else { continue };
            let keys = keys(&old.limits).into_iter().zip(keys(&peer.limits));
            changes.extend(keys.filter(|((_, old), (_, new))| old != new).map(
                |((key, before), (_, after))| Self {
                    peer: peer.name.to_string(),
                    key,
                    before,
                    after,
                },
            ));
        }
        changes
    }
}

impl fmt::Display for LimitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, key, .. } = self;
        let [before, after] =
            [&self.before, &self.after].map(|limit| limit.as_deref().unwrap_or("unlimited"));
        write!(f, "{peer}: {key} {before}; now {after}")
    }
}

fn keys(limits: &Limits) -> [(&'static str, Option<String>); 5] {
    let Limits { rate_from, rate_to, quota, quota_from, quota_to } = limits;
    let rate = |rate: &Option<Rate>| rate.map(|rate| rate.to_string());
    let of_period = |quota: &Option<Quota>| quota.map(|quota| quota.to_string());
    [
        ("rate_from", rate(rate_from)),
        ("rate_to", rate(rate_to)),
        ("quota", of_period(quota)),
        ("quota_from", of_period(quota_from)),
        ("quota_to", of_period(quota_to)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Peer, Period, PublicKey};

    #[test]
    fn a_peer_of_both_has_a_line_for_each_limit_that_changes() {
        let relay = |peers: &[(&str, Limits)]| Relay {
            peers: (1..)
                .zip(peers)
                .map(|(key, (name, limits))| Peer {
                    limits: *limits,
                    ..Peer::new(name.parse().expect("a name"), PublicKey::from_bytes([key; 32]))
                })
                .collect(),
            ..Relay::new("relay0".parse().expect("a name"))
        };
        let rate = |bits| Limits { rate_from: Rate::new(bits), ..Limits::default() };
        let quota = Some(Quota { bytes: 1 << 30, period: Period::Day });
        let before = relay(&[("a", rate(8_000)), ("b", rate(8_000)), ("c", rate(8_000))]);
        let after = relay(&[
            ("d", rate(9_000)),
            ("b", rate(8_000)),
            ("a", Limits { quota, ..rate(10_000_000) }),
        ]);
        let lines: Vec<_> =
            LimitChange::all(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            ["a: rate_from 8 kbit/s; now 10 Mbit/s", "a: quota unlimited; now 1 GiB/day"]
        );
    }
}
