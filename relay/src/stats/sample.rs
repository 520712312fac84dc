//! A small relay for the tests of what is shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relay_common::{PeerCounters, Reason, guard::Outcome};

use super::{
    Dropped, Guarded, Observation, PeerObservation, Policy, QuotaTraffic, QuotaUse, Snapshot,
    Unanswered,
};

/// Keys of the relay and of its two peers.
pub(super) const KEYS: [&str; 3] = [
    "958F80rWBaauRe4Qzm5+pSR+2vKrBFMxT1yABkznJTI=",
    "YzI3qqnN4/qerogu1XaBi06pIhO81sSbs3/745oJNEQ=",
    "E2WpFYbaxQs/cXG8egHaXm1wN7yQjE5WRxa7njhmYQA=",
];

/// A minute after the handshake of node-a.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_060)
}

/// A relay with node-a, which talks, and node-b, which never did.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot::new(observation())
}

/// What was read of it.
pub(super) fn observation() -> Observation {
    let mut dropped = [0; Reason::COUNT];
    dropped[Reason::NotInEitherList.index() as usize] = 3;
    dropped[Reason::Hairpin.index() as usize] = 1;
    let mut unattributed = [0; Reason::COUNT];
    unattributed[Reason::SourceUnknown.index() as usize] = 2;
    let node_a = PeerObservation {
        name: "node-a".to_owned(),
        public_key: KEYS[1].to_owned(),
        enabled: true,
        has_preshared_key: true,
        endpoint: Some(([198, 51, 100, 2], 40000).into()),
        allowed_ips: ["10.3.2.2/32", "fd00::3:2:2/128"].map(|net| net.parse().expect("it")).into(),
        latest_handshake: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        transfer_rx: 5000,
        transfer_tx: 7000,
        persistent_keepalive: Some(25),
        counters: PeerCounters {
            rx_packets: 10,
            rx_bytes: 1000,
            tx_packets: 20,
            tx_bytes: 2000,
            host_rx_packets: 1,
            host_rx_bytes: 84,
            host_tx_packets: 2,
            host_tx_bytes: 168,
        },
        dropped: Dropped::new(dropped),
    };
    let node_b = PeerObservation {
        name: "node-b".to_owned(),
        public_key: KEYS[2].to_owned(),
        enabled: true,
        has_preshared_key: false,
        endpoint: None,
        allowed_ips: Vec::new(),
        latest_handshake: None,
        transfer_rx: 0,
        transfer_tx: 0,
        persistent_keepalive: None,
        counters: PeerCounters::default(),
        dropped: Dropped::default(),
    };
    let mut guard_messages = [0; Outcome::COUNT];
    for (outcome, messages) in [
        (Outcome::Data, 40),
        (Outcome::Initiation, 2),
        (Outcome::BadMac1, 7),
        (Outcome::Limited, 9),
    ] {
        guard_messages[outcome.index() as usize] = messages;
    }
    let guarded = |interface: &str, attached| Guarded { interface: interface.to_owned(), attached };
    Observation {
        interface: "relay0".to_owned(),
        public_key: KEYS[0].to_owned(),
        listen_port: 51820,
        fwmark: 0xca6c,
        policy: Some(Policy { generation: 7, hash: "c0de".to_owned(), mode: "tcx" }),
        peers: vec![node_a, node_b],
        quotas: vec![QuotaUse {
            peer: "node-a".to_owned(),
            traffic: QuotaTraffic::Both,
            used_bytes: 3_252,
            limit_bytes: 500_000_000_000,
            period: "month",
            resets_at: "2023-12-01T00:00:00Z".to_owned(),
        }],
        unattributed: Dropped::new(unattributed),
        fence_dropped: [("from_peers", 0), ("own_tunnel", 5), ("to_peers", 4)].into(),
        guard: vec![guarded("eth0", "driver"), guarded("eth1", "none")],
        guard_messages,
        guard_unanswered: vec![Unanswered {
            source: std::net::SocketAddr::from(([198, 51, 100, 9], 51820)),
            initiations: 14,
            first_seconds: 71,
            last_seconds: 2,
        }],
    }
}
