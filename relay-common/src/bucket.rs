//! Token buckets.

/// A token bucket: how fast tokens come back, and how many it holds.
///
/// The state of a bucket is one number, the "theoretical arrival time" of the generic cell rate
/// algorithm (ITU-T I.371, annex A): the time at which the bucket is full again, in nanoseconds of
/// the boot clock. 0 is a full bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Time in which one token comes back, nanoseconds.
    pub interval_ns: u64,
    /// How far from full the bucket may be and still hold one more token, nanoseconds.
    pub tolerance_ns: u64,
}

/// A word of memory that holds the state of a bucket and that several processors write to.
pub trait Word {
    /// Reads the word.
    fn get(&self) -> u64;

    /// Replaces `old` by `new` atomically.
    ///
    /// # Errors
    /// The word is not `old`; the error is what it is.
    fn replace(&self, old: u64, new: u64) -> Result<(), u64>;
}

impl Bucket {
    /// A rate and a burst; 0 counts as 1 in both.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000 / if per_second == 0 { 1 } else { per_second as u64 };
        Self { interval_ns, tolerance_ns: interval_ns * (burst as u64).saturating_sub(1) }
    }

    /// Takes a token. `now` may be slightly earlier than what another processor wrote.
    #[inline(always)]
    pub fn take(&self, word: &impl Word, now: u64) -> bool {
        let mut full_at = word.get();
        for _ in 0..TRIES {
            let draw = self.draw(full_at, now);
            if draw.full_at == full_at {
                return draw.is_taken;
            }
            match word.replace(full_at, draw.full_at) {
                Ok(()) => return draw.is_taken,
                Err(found) => full_at = found,
            }
        }
        false
    }

    /// The state after a token was taken, or `None` if the bucket is empty. For buckets whose
    /// rate never changes, and where two processors may both take the last token.
    #[inline(always)]
    pub const fn taken(&self, full_at: u64, now: u64) -> Option<u64> {
        let start = if full_at > now { full_at } else { now };
        if start - now > self.tolerance_ns { None } else { Some(start + self.interval_ns) }
    }

    /// Whether the bucket holds a token.
    #[inline(always)]
    pub const fn has(&self, full_at: u64, now: u64) -> bool {
        full_at.saturating_sub(now) <= self.tolerance_ns
    }

    #[inline(always)]
    const fn draw(&self, full_at: u64, now: u64) -> Draw {
        let empty = self.tolerance_ns + self.interval_ns;
        let missing = full_at.saturating_sub(now);
        let is_taken = missing <= self.tolerance_ns;
        let full_at = if is_taken {
            now + missing + self.interval_ns
        } else if missing <= empty + DISORDER_NS {
            full_at
        } else {
            // Written at a slower rate: the bucket is empty, but refills at this one.
            now + empty
        };
        Draw { is_taken, full_at }
    }
}

/// Result of trying to take a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draw {
    is_taken: bool,
    full_at: u64,
}

/// How far a processor may lag behind what another one wrote: it reads the clock before the bucket,
/// and a virtual processor may be descheduled in between. A lag gives no token back.
const DISORDER_NS: u64 = 1_000_000_000;

/// Attempts to write before the bucket counts as empty.
const TRIES: usize = 4;

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::{
        cell::Cell,
        cmp::Reverse,
        collections::BinaryHeap,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
        thread,
        vec::Vec,
    };

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MICROSECOND: u64 = 1_000;
    /// The default of the configuration.
    const DEFAULT: Bucket = Bucket::new(50, 200);

    impl Word for AtomicU64 {
        fn get(&self) -> u64 {
            self.load(Relaxed)
        }

        fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
            self.compare_exchange(old, new, Relaxed, Relaxed).map(drop)
        }
    }

    /// A bucket that another processor writes to between read and write, `others` times.
    struct Contended {
        place: AtomicU64,
        others: Cell<usize>,
    }

    impl Word for Contended {
        fn get(&self) -> u64 {
            self.place.get()
        }

        fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
            if let Some(left) = self.others.get().checked_sub(1) {
                self.others.set(left);
                self.place.fetch_add(DEFAULT.interval_ns, Relaxed);
            }
            self.place.replace(old, new)
        }
    }

    fn given(limit: &Bucket, bucket: &AtomicU64, now: u64) -> usize {
        (0..).take_while(|_| limit.take(bucket, now)).count()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = AtomicU64::new(0);
        let milliseconds = (0..10_000).map(|ms| SECOND + ms * 1_000_000);
        let sum: usize = milliseconds.map(|now| given(&DEFAULT, &bucket, now)).sum();
        assert_eq!(sum, 200 + 499);
    }

    #[test]
    fn without_atomics_a_bucket_gives_the_same() {
        let (shared, mut plain) = (AtomicU64::new(0), 0);
        for now in (0..4_000).map(|step| SECOND + step * 3 * DEFAULT.interval_ns / 4) {
            for _ in 0..3 {
                let taken = DEFAULT.taken(plain, now);
                plain = taken.unwrap_or(plain);
                assert_eq!(taken.is_some(), DEFAULT.take(&shared, now));
                assert_eq!(plain, shared.get());
            }
        }
    }

    #[test]
    fn a_rate_of_zero_counts_as_one() {
        let least = Bucket::new(0, 0);
        assert_eq!(least, Bucket::new(1, 1));
        let bucket = AtomicU64::new(0);
        assert!(least.take(&bucket, 7) && bucket.get() == 7 + SECOND);
        assert!(!least.take(&bucket, 8));
        assert!(least.take(&bucket, 7 + SECOND) && bucket.get() == 7 + 2 * SECOND);
    }

    #[test]
    fn the_state_of_a_slower_rate_counts_as_empty_and_refills() {
        let bucket = AtomicU64::new(0);
        assert_eq!(given(&Bucket::new(1, 200), &bucket, SECOND), 200);
        assert!(!DEFAULT.take(&bucket, SECOND));
        assert!(DEFAULT.take(&bucket, SECOND + DEFAULT.interval_ns));
        assert_eq!(given(&DEFAULT, &bucket, 11 * SECOND), 200);
    }

    /// One processor reads the clock, another takes the last token at a later time, and only then
    /// does the first read the bucket.
    #[test]
    fn a_time_before_what_another_processor_wrote_gives_nothing_back() {
        for behind in [1, MICROSECOND, 50 * MICROSECOND, 30_000 * MICROSECOND, SECOND] {
            let bucket = AtomicU64::new(0);
            let now = 1_000 * SECOND;
            assert_eq!(given(&DEFAULT, &bucket, now), 200);
            for _ in 0..1_000 {
                assert!(!DEFAULT.take(&bucket, now - behind), "{behind} ns behind");
                assert!(!DEFAULT.take(&bucket, now), "{behind} ns behind");
            }
            assert_eq!(bucket.get(), now + 200 * DEFAULT.interval_ns);
        }
    }

    #[test]
    fn a_taker_that_was_overtaken_takes_from_the_new_state() {
        let contended = |missing: u64, others| Contended {
            place: AtomicU64::new(SECOND + missing * DEFAULT.interval_ns),
            others: Cell::new(others),
        };
        let bucket = contended(0, 3);
        assert!(DEFAULT.take(&bucket, SECOND));
        assert_eq!(bucket.get(), SECOND + 4 * DEFAULT.interval_ns, "four tokens were taken");
        let bucket = contended(199, 1);
        assert!(!DEFAULT.take(&bucket, SECOND), "another processor took the last one");
        assert_eq!(bucket.get(), SECOND + 200 * DEFAULT.interval_ns);
        let bucket = contended(0, 100);
        assert!(!DEFAULT.take(&bucket, SECOND), "others always write first");
    }

    /// Each taker's clock lags by a few microseconds.
    #[test]
    fn concurrent_takers_get_as_much_as_one_would() {
        let (bucket, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        let clock = AtomicU64::new(SECOND);
        thread::scope(|scope| {
            for taker in 0..4u64 {
                let (bucket, taken, clock) = (&bucket, &taken, &clock);
                scope.spawn(move || {
                    for _ in 0..9_000 {
                        let now = clock.fetch_add(25 * MICROSECOND, Relaxed);
                        let now = now - taker * 7 * MICROSECOND;
                        taken.fetch_add(DEFAULT.take(bucket, now).into(), Relaxed);
                    }
                });
            }
        });
        // Within 0.9 s; a taker may be too early for the last token, or be overtaken.
        let taken = taken.load(Relaxed);
        assert!((200 + 43..=200 + 45).contains(&taken), "{taken}");
    }

    proptest! {
        /// Compared with a literal token bucket that fills up to the burst.
        #[test]
        fn it_is_a_token_bucket(
            per_second in 1u32..200,
            burst in 1u32..50,
            gaps in proptest::collection::vec(0u64..2 * SECOND, 1..200),
        ) {
            let limit = Bucket::new(per_second, burst);
            let interval = u128::from(limit.interval_ns);
            let most = u128::from(burst) * interval;
            let bucket = AtomicU64::new(0);
            let (mut now, mut content) = (1, most);
            for gap in gaps {
                now += gap;
                content = (content + u128::from(gap)).min(most);
                prop_assert_eq!(limit.has(bucket.get(), now), content >= interval);
                let took = limit.take(&bucket, now);
                prop_assert_eq!(took, content >= interval);
                if took {
                    content -= interval;
                }
            }
        }

        /// Clocks that differ by up to 50 µs give at most what refills in 50 µs.
        #[test]
        fn clocks_out_of_order_give_no_more_than_they_differ_by(
            per_second in 1u32..200,
            burst in 1u32..50,
            steps in proptest::collection::vec((0u64..SECOND / 20, 0u64..50 * MICROSECOND), 1..200),
        ) {
            let limit = Bucket::new(per_second, burst);
            let bucket = AtomicU64::new(0);
            let (mut now, mut taken) = (SECOND, 0u64);
            for (gap, behind) in steps {
                now += gap;
                taken += u64::from(limit.take(&bucket, now));
                taken += u64::from(limit.take(&bucket, now - behind));
            }
            let most = u64::from(burst) + (now - SECOND + 50 * MICROSECOND) / limit.interval_ns;
            prop_assert!(taken <= most, "{} of {}", taken, most);
        }
    }

    /// A thousand peers behind one NAT reconnect at once, each retrying after 5 to 5.33 s
    /// (REKEY_TIMEOUT and its jitter; WireGuard paper, section 6.1): all get through within a
    /// minute.
    #[test]
    fn a_thousand_peers_behind_one_address_get_through_within_a_minute() {
        let mut due: BinaryHeap<Reverse<(u64, u32)>> =
            (0..1000).map(|peer| Reverse((SECOND + u64::from(peer), peer))).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let bucket = AtomicU64::new(0);
        let mut admitted = Vec::new();
        while let Some(Reverse((now, peer))) = due.pop() {
            if DEFAULT.take(&bucket, now) {
                admitted.push(now - SECOND);
                continue;
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            due.push(Reverse((now + 5 * SECOND + random % (SECOND / 3), peer)));
        }
        let last = admitted.iter().max().expect("a thousand");
        assert_eq!(admitted.len(), 1000);
        assert!(*last < 60 * SECOND, "the last after {} ms", last / 1_000_000);
        assert!(*last > SECOND, "the limit was met");
    }
}
