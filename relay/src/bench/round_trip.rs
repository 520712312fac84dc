use std::time::Duration;

use serde::Serialize;

/// How long a datagram took there and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundTrip {
    /// Number of datagrams that came back.
    pub samples: u64,
    /// Half of them took at most this long, nanoseconds.
    pub p50_ns: u64,
    /// 90 of 100.
    pub p90_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// The slowest.
    pub max_ns: u64,
}

impl RoundTrip {
    /// From all times, in any order; `None` if there are none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let max_ns = nanoseconds(*times.last()?);
        Some(Self {
            samples: u64::try_from(times.len()).unwrap_or(u64::MAX),
            p50_ns: nanoseconds(percentile(&times, 50)),
            p90_ns: nanoseconds(percentile(&times, 90)),
            p99_ns: nanoseconds(percentile(&times, 99)),
            max_ns,
        })
    }
}

/// The nearest rank: the smallest of the sorted values that at least `percent` of 100 do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = (1..=200).rev().map(Duration::from_nanos).collect();
        let expected =
            RoundTrip { samples: 200, p50_ns: 100, p90_ns: 180, p99_ns: 198, max_ns: 200 };
        assert_eq!(RoundTrip::of(times), Some(expected));
    }

    #[test]
    fn one_time_is_every_percentile_and_none_is_nothing() {
        let only = RoundTrip { samples: 1, p50_ns: 7, p90_ns: 7, p99_ns: 7, max_ns: 7 };
        assert_eq!(RoundTrip::of(vec![Duration::from_nanos(7)]), Some(only));
        assert_eq!(RoundTrip::of(Vec::new()), None);
    }
}
