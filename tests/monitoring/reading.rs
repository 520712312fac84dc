//! What was read of a relay that has some of everything.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use relay::{
    names,
    stats::{
        BusiestPairs, Dropped, FlowTable, Guarded, Observation, Pairs, PeerObservation, Policy,
        QuotaTraffic, QuotaUse, RateLimit, RuleTraffic, RuleUse, Scrape, Snapshot, Unanswered,
        WebhookUse,
    },
};
use relay_common::{PairCounters, PeerCounters, Reason, counters::RuleCounters, guard::Outcome};

/// The relay at this time. One peer's name has what a label has to escape.
pub(crate) fn scrape(now: SystemTime) -> Scrape {
    let counted = |packets, bytes| PairCounters { packets, bytes };
    let pairs = [("ann".to_owned(), "nas".to_owned(), counted(10, 1000))];
    let counters = RuleCounters { flows: 1, packets: 3, bytes: 252, ..RuleCounters::default() };
    let last = Some(("2026-11-26T23:00:00Z".to_owned(), 1_795_734_000));
    let rate =
        |traffic, bits_per_second| RateLimit { peer: "ann".to_owned(), traffic, bits_per_second };
    Scrape {
        snapshot: Snapshot::new(observation(now)),
        rules: RuleTraffic::new("relay0", [("ops-ssh".to_owned(), RuleUse { counters, last })]),
        pairs: Some(BusiestPairs {
            pairs: Pairs::new("relay0", pairs, counted(7, 700)),
            limit: 1,
            omitted: 2,
        }),
        flows: Some(FlowTable {
            live: BTreeMap::from([("closing", 0), ("open", 17), ("opening", 2), ("reset", 1)]),
            capacity: 131_072,
        }),
        rates: vec![rate(QuotaTraffic::From, 10_000_000), rate(QuotaTraffic::To, 8_001)],
        webhooks: vec![WebhookUse {
            webhook: "ops".to_owned(),
            delivered: 12,
            failed: 3,
            lost: 1,
            waiting: 2,
            is_disabled: false,
        }],
        name_questions: names::Outcome::ALL.map(|outcome| (outcome.label(), 40)).into(),
        took: Duration::from_micros(12_345),
    }
}

fn observation(now: SystemTime) -> Observation {
    let quota = |traffic, used_bytes| QuotaUse {
        peer: "ann".to_owned(),
        traffic,
        used_bytes,
        limit_bytes: 500_000_000_000,
        period: "month",
        resets_at: "2026-12-01T00:00:00Z".to_owned(),
    };
    Observation {
        interface: "relay0".to_owned(),
        public_key: "958F80rWBaauRe4Qzm5+pSR+2vKrBFMxT1yABkznJTI=".to_owned(),
        listen_port: 51820,
        fwmark: 0,
        policy: Some(Policy { generation: 7, hash: "c0de".to_owned(), mode: "tcx" }),
        peers: vec![
            peer("ann", "YzI3qqnN4/qerogu1XaBi06pIhO81sSbs3/745oJNEQ=", Some(now)),
            peer("na\\s \"2\"", "E2WpFYbaxQs/cXG8egHaXm1wN7yQjE5WRxa7njhmYQA=", None),
        ],
        quotas: vec![quota(QuotaTraffic::From, 3_252), quota(QuotaTraffic::To, 0)],
        unattributed: Dropped::new(std::array::from_fn(|reason| reason as u64)),
        fence_dropped: [("from_peers", 0), ("own_tunnel", 5), ("to_peers", 4)].into(),
        guard: ["driver", "none"]
            .map(|attached| Guarded { interface: format!("eth-{attached}"), attached })
            .into(),
        guard_messages: std::array::from_fn::<u64, { Outcome::COUNT }, _>(|outcome| outcome as u64),
        guard_unanswered: vec![Unanswered {
            source: SocketAddr::from(([198, 51, 100, 9], 51820)),
            initiations: 14,
            first_seconds: 71,
            last_seconds: 2,
        }],
    }
}

fn peer(name: &str, key: &str, latest_handshake: Option<SystemTime>) -> PeerObservation {
    PeerObservation {
        name: name.to_owned(),
        public_key: key.to_owned(),
        enabled: true,
        has_preshared_key: false,
        endpoint: Some(SocketAddr::from(([198, 51, 100, 2], 40_000))),
        allowed_ips: ["10.3.2.2/32", "fd00::3:2:2/128"].map(|net| net.parse().expect("it")).into(),
        latest_handshake,
        transfer_rx: 5000,
        transfer_tx: 7000,
        persistent_keepalive: None,
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
        dropped: Dropped::new([1; Reason::COUNT]),
    }
}
