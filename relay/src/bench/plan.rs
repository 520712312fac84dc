use std::{fmt, time::Duration};

use serde::Serialize;

/// How packets get from one peer to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// relay, with `fast_path = true`.
    FastPath,
    /// relay, with `fast_path = false`: the host's IP stack forwards what the policy lets pass.
    Stack,
    /// No relay: the host's IP stack forwards, by nftables with connection tracking.
    Nftables,
}

/// What peers do in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// One TCP connection a pair sends as much as it can.
    Tcp,
    /// Datagrams, as many as arrive.
    Udp {
        /// Bytes of a datagram, without headers.
        payload_bytes: u16,
    },
    /// One datagram at a time goes there and back.
    RoundTrip,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Pairs of peers that talk at the same time.
    pub pairs: u16,
    /// What they do.
    pub load: Load,
    /// How their packets are relayed.
    pub way: Way,
}

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Numbers of pairs.
    pub pairs: Vec<u16>,
    /// Payloads of datagrams, bytes.
    pub sizes: Vec<u16>,
    /// How long a run is measured.
    pub time: Duration,
    /// How often all runs are made.
    pub rounds: u16,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FastPath, Self::Stack, Self::Nftables];

    /// As it is shown.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FastPath => "fast path",
            Self::Stack => "host's stack",
            Self::Nftables => "nftables",
        }
    }
}

impl Wanted {
    /// Before a run is measured, so that queues and caches are as they stay.
    pub const WARM_UP: Duration = Duration::from_millis(300);

    /// Sockets and threads of a run, and the datagrams under way at its end.
    const AROUND: Duration = Duration::from_millis(500);

    /// Namespaces, policy and handshakes of a way, and of each of its pairs.
    const SETUP: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(300)];

    /// The runs of a round, in order. The ways come one after the other in each measurement, so that
    /// whatever else the host does meanwhile affects all of them.
    pub fn runs(&self, ways: &[Way]) -> Vec<Run> {
        let udp = self.sizes.iter().map(|&payload_bytes| Load::Udp { payload_bytes });
        let loads: Vec<Load> =
            [Load::Tcp].into_iter().chain(udp).chain([Load::RoundTrip]).collect();
        let mut runs = Vec::new();
        for &pairs in &self.pairs {
            for &load in &loads {
                runs.extend(ways.iter().map(|&way| Run { pairs, load, way }));
            }
        }
        runs
    }

    /// The largest number of pairs.
    pub fn pairs_max(&self) -> u16 {
        self.pairs.iter().copied().max().unwrap_or(0)
    }

    /// About how long all of it takes.
    pub fn estimate(&self) -> Duration {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let [way, pair] = Self::SETUP;
        let setup = (way + pair * u32::from(self.pairs_max())) * count(Way::ALL.len());
        let runs = count(self.runs(&Way::ALL).len()) * u32::from(self.rounds);
        setup + (Self::WARM_UP + self.time + Self::AROUND) * runs
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Udp { payload_bytes } => write!(f, "UDP {payload_bytes} bytes"),
            Self::RoundTrip => f.write_str("Round trip"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, load, way } = self;
        let noun = if *pairs == 1 { "pair" } else { "pairs" };
        write!(f, "{pairs} {noun}, {load}, {}", way.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measurement_is_made_on_all_ways_before_the_next() {
        let runs = wanted().runs(&Way::ALL);
        assert_eq!(runs.len(), 2 * 3 * 3);
        for alike in runs.chunks(3) {
            assert!(
                alike.iter().all(|run| (run.pairs, run.load) == (alike[0].pairs, alike[0].load))
            );
            assert_eq!(alike.iter().map(|run| run.way).collect::<Vec<_>>(), Way::ALL);
        }
        assert_eq!(runs[3].to_string(), "1 pair, UDP 64 bytes, fast path");
        assert_eq!(runs[17].to_string(), "4 pairs, Round trip, nftables");
    }

    #[test]
    fn a_way_that_cannot_be_made_is_in_no_run() {
        let runs = wanted().runs(&[Way::FastPath, Way::Stack]);
        assert_eq!(runs.len(), 2 * 3 * 2);
        assert!(runs.iter().all(|run| run.way != Way::Nftables));
    }

    #[test]
    fn the_estimate_is_longer_than_all_that_is_measured() {
        let wanted = wanted();
        let measured = wanted.time * 18 * 3;
        assert!(wanted.estimate() > measured && wanted.estimate() < measured * 2);
    }

    fn wanted() -> Wanted {
        Wanted { pairs: vec![1, 4], sizes: vec![64], time: Duration::from_secs(2), rounds: 3 }
    }
}
