use std::time::Duration;

use serde::Serialize;

use super::{Load, RoundTrip, Run, Way};

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// What was measured on a host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    schema_version: u32,
    relay: &'static str,
    /// The host.
    #[serde(flatten)]
    pub host: Host,
    /// How often each run was made.
    pub rounds: u16,
    /// What could not be measured.
    pub skipped: Vec<Skipped>,
    /// The median round of each run, in their order.
    pub runs: Vec<Measured>,
}

/// On what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Release of the kernel.
    pub kernel: String,
    /// Model of the processors, if the kernel tells.
    pub processor: Option<String>,
    /// Number of processors.
    pub processors: u32,
    /// Processors that were busy before the first run.
    pub idle_cores: f64,
}

/// A way that this host does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The way.
    pub way: Way,
    /// Why.
    pub why: String,
}

/// What a run takes from peers and kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// For how long it was measured.
    pub elapsed: Duration,
    /// Bytes of payload that arrived in that time.
    pub delivered_bytes: u64,
    /// Datagrams that arrived in that time.
    pub delivered: u64,
    /// Packets that entered the relay by its WireGuard interface in that time.
    pub relayed: u64,
    /// Processors that were busy in that time, thousandths.
    pub millicores: u64,
    /// Datagrams of the whole run, sent and arrived.
    pub datagrams: [u64; 2],
    /// Of the whole run.
    pub round_trips: Vec<Duration>,
}

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Pairs of peers.
    pub pairs: u16,
    load: &'static str,
    payload_bytes: Option<u16>,
    /// How packets were relayed.
    pub way: Way,
    /// For how long it was measured.
    pub seconds: f64,
    /// How far the rounds lie apart: from the slowest to the fastest, as a share of this one.
    pub spread: f64,
    /// Payload that arrived.
    pub bits_per_second: Option<u64>,
    /// Datagrams that arrived.
    pub delivered_packets_per_second: Option<u64>,
    /// The share of datagrams that did not arrive, 0 to 1.
    pub lost: Option<f64>,
    /// Packets that entered the relay by its WireGuard interface.
    pub relayed_packets_per_second: u64,
    /// Processors that were busy, of the whole host.
    pub cores: f64,
    /// Processor time of the whole host for each of those packets.
    pub nanoseconds_per_packet: Option<u64>,
    /// Of round trips.
    pub round_trip: Option<RoundTrip>,
    #[serde(skip)]
    kind: Load,
}

impl Report {
    /// What was measured here.
    pub fn new(host: Host, rounds: u16, skipped: Vec<Skipped>, runs: Vec<Measured>) -> Self {
        let relay = env!("CARGO_PKG_VERSION");
        Self { schema_version: SCHEMA_VERSION, relay, host, rounds, skipped, runs }
    }
}

impl Host {
    /// A host of which this many processors, in thousandths, were busy before the first run.
    pub fn new(
        kernel: String,
        processor: Option<String>,
        processors: u32,
        idle_millicores: u64,
    ) -> Self {
        Self { kernel, processor, processors, idle_cores: rounded(idle_millicores.into()) }
    }

    /// Kernel and processors in words.
    pub(super) fn describe(&self) -> String {
        let model = self.processor.as_deref().unwrap_or("unknown");
        let noun = if self.processors == 1 { "processor" } else { "processors" };
        format!("Linux {}, {} {noun} ({model})", self.kernel, self.processors)
    }
}

impl Measured {
    /// Calculates what a run has shown.
    pub fn of(run: Run, taken: Taken) -> Self {
        let Run { pairs, load, way } = run;
        let Taken { elapsed, delivered_bytes, delivered, relayed, millicores, .. } = taken;
        let is_datagrams = matches!(load, Load::Udp { .. } | Load::RoundTrip);
        let [sent, arrived] = taken.datagrams;
        let lost = sent.saturating_sub(arrived) * 1_000_000 / sent.max(1);
        let busy_ns = u128::from(millicores) * elapsed.as_nanos() / 1000;
        let each_ns = busy_ns.checked_div(u128::from(relayed));
        Self {
            pairs,
            load: match load {
                Load::Tcp => "tcp",
                Load::Udp { .. } => "udp",
                Load::RoundTrip => "round_trip",
            },
            payload_bytes: match load {
                Load::Udp { payload_bytes } => Some(payload_bytes),
                Load::Tcp | Load::RoundTrip => None,
            },
            way,
            seconds: rounded(elapsed.as_millis()),
            spread: 0.0,
            bits_per_second: (load != Load::RoundTrip)
                .then(|| a_second(delivered_bytes.saturating_mul(8), elapsed)),
            delivered_packets_per_second: matches!(load, Load::Udp { .. })
                .then(|| a_second(delivered, elapsed)),
            lost: is_datagrams.then(|| f64::from(u32::try_from(lost).unwrap_or(u32::MAX)) / 1e6),
            relayed_packets_per_second: a_second(relayed, elapsed),
            cores: rounded(millicores.into()),
            nanoseconds_per_packet: each_ns.and_then(|each| u64::try_from(each).ok()),
            round_trip: RoundTrip::of(taken.round_trips),
            kind: load,
        }
    }

    /// The median of the rounds of one run, by what arrives, or by the median round trip; `None` if there
    /// are none.
    pub fn median(mut rounds: Vec<Self>) -> Option<Self> {
        rounds.sort_by_key(Self::key);
        let (least, most) = (rounds.first()?.key(), rounds.last()?.key());
        let median = rounds.swap_remove(rounds.len() / 2);
        let apart = u128::from(most - least) * 1000 / u128::from(median.key().max(1));
        Some(Self { spread: rounded(apart), ..median })
    }

    /// What rounds are compared by.
    fn key(&self) -> u64 {
        self.bits_per_second.or_else(|| Some(self.round_trip?.p50_ns)).unwrap_or(0)
    }

    /// What the peers did.
    pub const fn load(&self) -> Load {
        self.kind
    }
}

fn a_second(count: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Thousandths as a number.
fn rounded(thousandths: u128) -> f64 {
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0
}

/// Two loads and round trips, without nftables.
#[cfg(test)]
pub(super) fn example() -> Report {
    let taken = |factor: u32| Taken {
        elapsed: Duration::from_secs(2),
        delivered_bytes: 812_345_678 * u64::from(factor),
        delivered: 612_345 * u64::from(factor),
        relayed: 698_765 * u64::from(factor),
        millicores: 3_456,
        datagrams: [700_000 * u64::from(factor), 699_000 * u64::from(factor)],
        round_trips: Vec::new(),
    };
    let mut runs = Vec::new();
    for pairs in [1, 4] {
        for load in [Load::Tcp, Load::Udp { payload_bytes: 64 }, Load::RoundTrip] {
            for (way, factor) in [(Way::FastPath, 3), (Way::Stack, 2)] {
                let is_trip = load == Load::RoundTrip;
                let trips = (0..100).map(|i| Duration::from_nanos(91_000 / factor + i * i));
                let round_trips = if is_trip { trips.collect() } else { Vec::new() };
                let factor = u32::try_from(factor).unwrap_or(1) * u32::from(pairs);
                let taken = Taken { round_trips, ..taken(factor) };
                runs.push(Measured::of(Run { pairs, load, way }, taken));
            }
        }
    }
    let skipped =
        vec![Skipped { way: Way::Nftables, why: "this kernel has no nf_tables".to_owned() }];
    let model = Some("A Processor @ 3.00GHz".to_owned());
    Report::new(Host::new("6.12.0".to_owned(), model, 8, 120), 3, skipped, runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_costs_follow_from_what_was_taken() {
        let run = Run { pairs: 4, load: Load::Udp { payload_bytes: 512 }, way: Way::Stack };
        let measured = Measured::of(run, taken());
        assert_eq!(measured.bits_per_second, Some(2_048_000 * 8 / 2));
        assert_eq!(measured.delivered_packets_per_second, Some(2000));
        assert_eq!(measured.lost, Some(0.25));
        assert_eq!(measured.relayed_packets_per_second, 2500);
        // One and a half processors for two seconds.
        assert_eq!(measured.nanoseconds_per_packet, Some(3_000_000_000 / 5000));
        assert!((measured.cores - 1.5).abs() < f64::EPSILON);
        assert_eq!(measured.round_trip, None);
    }

    #[test]
    fn a_stream_has_no_datagrams_and_a_run_without_packets_no_cost_of_one() {
        let run = Run { pairs: 1, load: Load::Tcp, way: Way::FastPath };
        let measured = Measured::of(run, Taken { relayed: 0, ..taken() });
        assert_eq!(measured.delivered_packets_per_second, None);
        assert_eq!((measured.lost, measured.nanoseconds_per_packet), (None, None));
        assert_eq!(measured.bits_per_second, Some(8_192_000));
    }

    #[test]
    fn the_median_round_is_one_that_was_measured_and_tells_how_far_the_others_are() {
        let run = Run { pairs: 1, load: Load::Tcp, way: Way::FastPath };
        let round = |delivered_bytes| Measured::of(run, Taken { delivered_bytes, ..taken() });
        let median = Measured::median([4_000, 1_000, 2_000].map(round).into()).expect("rounds");
        assert_eq!(median, Measured { spread: 1.5, ..round(2_000) });
        assert_eq!(Measured::median(vec![round(5)]), Some(round(5)));
        assert_eq!(Measured::median(Vec::new()), None);
    }

    fn taken() -> Taken {
        Taken {
            elapsed: Duration::from_secs(2),
            delivered_bytes: 2_048_000,
            delivered: 4000,
            relayed: 5000,
            millicores: 1500,
            datagrams: [8000, 6000],
            round_trips: Vec::new(),
        }
    }
}
