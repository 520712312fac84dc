//! Rates, now and over the last minute.

use std::{collections::VecDeque, time::Duration};

use crate::stats::{Snapshot, snapshot::Peer};

/// Length of a history.
const KEPT: Duration = Duration::from_secs(60);

/// Counts of a peer, or of all peers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub dropped: u64,
}

/// Counts a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub rx_bytes: f64,
    pub rx_packets: f64,
    pub tx_bytes: f64,
    pub tx_packets: f64,
    pub dropped: f64,
}

/// The latest counts, and past rates.
#[derive(Debug, Clone)]
pub(super) struct History {
    counts: Counts,
    at: Duration,
    /// When packets from the peer were last counted.
    heard: Option<Duration>,
    /// Since the previous snapshot; `None` if there was none.
    pub rates: Option<Rates>,
    samples: VecDeque<Sample>,
}

/// Bytes a second, both ways, from one time to another.
#[derive(Debug, Clone, Copy)]
struct Sample {
    from: Duration,
    to: Duration,
    bytes: f64,
}

impl Counts {
    /// Packets and bytes of a peer, relayed or exchanged with the relay itself.
    pub(super) fn of(peer: &Peer) -> Self {
        let traffic = peer.relayed.plus(&peer.host);
        Self {
            rx_bytes: traffic.rx_bytes,
            rx_packets: traffic.rx_packets,
            tx_bytes: traffic.tx_bytes,
            tx_packets: traffic.tx_packets,
            dropped: peer.dropped.total(),
        }
    }

    /// All relayed and all dropped packets.
    pub(super) fn of_all(snapshot: &Snapshot) -> Self {
        let relayed = &snapshot.totals.relayed;
        Self {
            rx_bytes: relayed.rx_bytes,
            rx_packets: relayed.rx_packets,
            tx_bytes: relayed.tx_bytes,
            tx_packets: relayed.tx_packets,
            dropped: snapshot.totals.dropped.total(),
        }
    }

    /// Counts since `before`. If one fell, all counters of the peer restarted at zero.
    fn since(&self, before: &Self) -> Self {
        let pairs = [
            (self.rx_bytes, before.rx_bytes),
            (self.rx_packets, before.rx_packets),
            (self.tx_bytes, before.tx_bytes),
            (self.tx_packets, before.tx_packets),
            (self.dropped, before.dropped),
        ];
        if pairs.iter().any(|(now, before)| now < before) {
            return *self;
        }
        let [rx_bytes, rx_packets, tx_bytes, tx_packets, dropped] =
            pairs.map(|(now, before)| now - before);
        Self { rx_bytes, rx_packets, tx_bytes, tx_packets, dropped }
    }

    fn a_second(&self, over: Duration) -> Rates {
        let rate = |count: u64| count as f64 / over.as_secs_f64();
        Rates {
            rx_bytes: rate(self.rx_bytes),
            rx_packets: rate(self.rx_packets),
            tx_bytes: rate(self.tx_bytes),
            tx_packets: rate(self.tx_packets),
            dropped: rate(self.dropped),
        }
    }
}

impl History {
    /// The history with counts at the time `at`.
    pub(super) fn after(before: Option<Self>, counts: Counts, at: Duration) -> Self {
        let Some(mut history) = before else {
            return Self { counts, at, heard: None, rates: None, samples: VecDeque::new() };
        };
        let over = at.saturating_sub(history.at);
        if over.is_zero() {
            return history;
        }
        let rates = counts.since(&history.counts).a_second(over);
        let bytes = rates.rx_bytes + rates.tx_bytes;
        history.samples.push_back(Sample { from: history.at, to: at, bytes });
        while history.samples.front().is_some_and(|sample| sample.to + KEPT <= at) {
            history.samples.pop_front();
        }
        let heard = if rates.rx_packets > 0.0 { Some(at) } else { history.heard };
        Self { counts, at, heard, rates: Some(rates), samples: history.samples }
    }

    /// Whether packets from it were counted in the last minute.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.is_some_and(|heard| self.at.saturating_sub(heard) <= KEPT)
    }

    /// Bytes a second over the last minute in `parts` parts; `None` for parts without data.
    pub(super) fn minute(&self, parts: u32) -> Vec<Option<f64>> {
        let part = KEPT / parts.max(1);
        let known = |index: u32| {
            let end = self.at.as_secs_f64() - (part * (parts - 1 - index)).as_secs_f64();
            let start = end - part.as_secs_f64();
            let mut covered = 0.0;
            let mut bytes = 0.0;
            for sample in &self.samples {
                let overlap =
                    sample.to.as_secs_f64().min(end) - sample.from.as_secs_f64().max(start);
                if overlap > 0.0 {
                    covered += overlap;
                    bytes += overlap * sample.bytes;
                }
            }
            (covered > 0.0).then(|| bytes / covered)
        };
        (0..parts).map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_the_mean_of_each_part_since_the_watch_began() {
        let mut history = None;
        for (at, rx_bytes) in [(0, 0), (5, 500), (10, 500), (30, 4500)] {
            let counts = Counts { rx_bytes, ..Counts::default() };
            history = Some(History::after(history, counts, Duration::from_secs(at)));
        }
        let minute = history.expect("a history").minute(6);
        assert_eq!(minute, [None, None, None, Some(50.0), Some(200.0), Some(200.0)]);
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let mut history = None;
        for at in 0..1000 {
            let counts = Counts { rx_bytes: at, ..Counts::default() };
            history = Some(History::after(history, counts, Duration::from_secs(at)));
        }
        assert_eq!(history.expect("a history").samples.len(), 60);
    }
}
