//! The ways to forward a packet that are compared.

/// Names in the figures and in tables, in the order of the tables.
pub(crate) const LAYERS: &[(&str, &str)] = &[
    ("redirect", "bare redirect"),
    ("redirect-hooked", "bare redirect, both hooks"),
    ("relay", "relay"),
    ("relay-pairs", "relay, pair_stats = true"),
    ("forward", "forwarding, no policy"),
    ("nft-set", "nftables, one set of pairs"),
    ("relay-slow-path", "relay, fast_path = false"),
    ("nft-conntrack", "nftables, conntrack first"),
    ("iptables", "iptables, a rule a pair"),
    ("firezone", "Firezone 0.7's tables"),
];
