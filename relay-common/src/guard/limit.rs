/// How many initiations a source may send: a token bucket, kept as one number.
///
/// The number is the "theoretical arrival time" of the generic cell rate algorithm (ITU-T I.371,
/// annex A): when, in nanoseconds of the boot clock, the bucket is full again. 0 is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Nanoseconds in which one token comes back.
    pub interval_ns: u64,
    /// How far the bucket may be from full for one more token to be in it, nanoseconds.
    pub tolerance_ns: u64,
}

impl Limit {
    /// So many a second, so many at once; less than one of either is one.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000 / if per_second == 0 { 1 } else { per_second as u64 };
        Self { interval_ns, tolerance_ns: interval_ns * (burst as u64).saturating_sub(1) }
    }

    /// Takes a token from a bucket that is full again at `full_at`: what it is then, or `None`
    /// when it is empty.
    #[inline(always)]
    pub const fn take(&self, full_at: u64, now: u64) -> Option<u64> {
        let missing = full_at.saturating_sub(now);
        if missing <= self.tolerance_ns {
            return Some(now + missing + self.interval_ns);
        }
        // Further off than this limit goes: written by one that took longer, which counts no more.
        if missing > self.tolerance_ns + self.interval_ns {
            return Some(now + self.interval_ns);
        }
        None
    }
}

/// Key of the bucket of an IPv4 source, its address in host order. It is among the keys of
/// ::/32, which is nobody's (RFC 4291, section 2.4).
#[inline(always)]
pub const fn source_v4(address: u32) -> u64 {
    address as u64
}

/// Key of the bucket of an IPv6 source: its /64, the upper half of its address in host order.
#[inline(always)]
pub const fn source_v6(high: u64) -> u64 {
    high
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::{cmp::Reverse, collections::BinaryHeap, vec::Vec};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// What a configuration that says nothing gets.
    const DEFAULT: Limit = Limit::new(50, 200);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut full_at = 0;
        let mut given = 0;
        for millisecond in 0..10_000u64 {
            while let Some(then) = DEFAULT.take(full_at, SECOND + millisecond * 1_000_000) {
                full_at = then;
                given += 1;
            }
        }
        assert_eq!(given, 200 + 499);
    }

    #[test]
    fn a_limit_of_nothing_is_one() {
        let least = Limit::new(0, 0);
        assert_eq!(least, Limit::new(1, 1));
        assert_eq!(least.take(0, 7), Some(7 + SECOND));
        assert_eq!(least.take(7 + SECOND, 8), None);
        assert_eq!(least.take(7 + SECOND, 7 + SECOND), Some(7 + 2 * SECOND));
    }

    #[test]
    fn what_another_limit_wrote_locks_nobody_out() {
        let slow = Limit::new(1, 200);
        let mut full_at = 0;
        while let Some(then) = slow.take(full_at, SECOND) {
            full_at = then;
        }
        assert_eq!(DEFAULT.take(full_at, SECOND), Some(SECOND + DEFAULT.interval_ns));
    }

    proptest! {
        /// Against the bucket as one is drawn: tokens that drip in, up to the burst.
        #[test]
        fn it_is_a_token_bucket(
            per_second in 1u32..200,
            burst in 1u32..50,
            gaps in proptest::collection::vec(0u64..2 * SECOND, 1..200),
        ) {
            let limit = Limit::new(per_second, burst);
            let interval = u128::from(limit.interval_ns);
            let most = u128::from(burst) * interval;
            let (mut full_at, mut now, mut content) = (0, 1, most);
            for gap in gaps {
                now += gap;
                content = (content + u128::from(gap)).min(most);
                let took = limit.take(full_at, now);
                prop_assert_eq!(took.is_some(), content >= interval);
                if let Some(then) = took {
                    content -= interval;
                    full_at = then;
                }
            }
        }
    }

    /// A thousand peers behind one NAT come back at once, each trying again after 5 s and up to a
    /// third of one (REKEY_TIMEOUT and its jitter; WireGuard paper, section 6.1) until it is let
    /// in: all are in within a minute, whoever is unlucky at first.
    #[test]
    fn a_thousand_peers_behind_one_address_are_in_within_a_minute() {
        let mut due: BinaryHeap<Reverse<(u64, u32)>> =
            (0..1000).map(|peer| Reverse((SECOND + u64::from(peer), peer))).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut full_at = 0;
        let mut admitted = Vec::new();
        while let Some(Reverse((now, peer))) = due.pop() {
            match DEFAULT.take(full_at, now) {
                Some(then) => {
                    full_at = then;
                    admitted.push(now - SECOND);
                }
                None => {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    due.push(Reverse((now + 5 * SECOND + random % (SECOND / 3), peer)));
                }
            }
        }
        let last = admitted.iter().max().expect("a thousand");
        assert_eq!(admitted.len(), 1000);
        assert!(*last < 60 * SECOND, "the last after {} ms", last / 1_000_000);
        assert!(*last > SECOND, "the limit was met");
    }
}
