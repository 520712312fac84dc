/// How often something may happen: a token bucket, kept as one number.
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

    /// Takes a token at a moment, which may lie a little before what another processor wrote.
    #[inline(always)]
    pub fn take(&self, bucket: &impl Bucket, now: u64) -> bool {
        let mut full_at = bucket.get();
        for _ in 0..TRIES {
            let draw = self.draw(full_at, now);
            if draw.full_at == full_at {
                return draw.is_taken;
            }
            match bucket.replace(full_at, draw.full_at) {
                Ok(()) => return draw.is_taken,
                Err(found) => full_at = found,
            }
        }
        false
    }

    /// Whether there is a token in a bucket that is full again at `full_at`.
    #[inline(always)]
    pub const fn has(&self, full_at: u64, now: u64) -> bool {
        full_at.saturating_sub(now) <= self.tolerance_ns
    }

    /// What taking a token makes of a bucket that is full again at `full_at`.
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
            // By a limit that took longer: it is empty, but for no longer than this one says.
            now + empty
        };
        Draw { is_taken, full_at }
    }
}

/// Where the number of a bucket lies, which several processors write to.
pub trait Bucket {
    /// The number.
    fn get(&self) -> u64;

    /// Puts another in the place of an old one, in one step.
    ///
    /// # Errors
    /// The old one is not there: this one is.
    fn replace(&self, old: u64, new: u64) -> Result<(), u64>;
}

/// What a try to take a token comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draw {
    is_taken: bool,
    /// When the bucket is full again.
    full_at: u64,
}

/// How far a processor may be behind what another one wrote: the clock is read before the bucket,
/// and a virtual processor may stand still in between. Nothing is given back for that.
const DISORDER_NS: u64 = 1_000_000_000;

/// How often others may be faster before a bucket counts as empty.
const TRIES: usize = 4;

/// Of initiations beyond the limit of their source, one in so many is let through: whoever spoofs
/// a peer's address with the relay's public key in hand delays the peer, and shuts it out no more
/// than the kernel's queue does.
pub const BY_CHANCE: u32 = 8;

/// Cookie replies of all sources together, but for flows that sent data lately. The relay gets one
/// for a handshake message of its own to a peer that is under load, which is seldom.
pub const COOKIE_REPLIES: Limit = Limit::new(200, 200);

/// Whether a random number falls into the share of one in so many, a power of two.
#[inline(always)]
pub const fn is_share(random: u32, one_in: u32) -> bool {
    random & (one_in - 1) == 0
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
    /// What a configuration that says nothing gets.
    const DEFAULT: Limit = Limit::new(50, 200);

    impl Bucket for AtomicU64 {
        fn get(&self) -> u64 {
            self.load(Relaxed)
        }

        fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
            self.compare_exchange(old, new, Relaxed, Relaxed).map(drop)
        }
    }

    /// A bucket that somebody else writes to between the look and the write, so many times.
    struct Contended {
        place: AtomicU64,
        others: Cell<usize>,
    }

    impl Bucket for Contended {
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

    fn given(limit: &Limit, bucket: &AtomicU64, now: u64) -> usize {
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
    fn a_limit_of_nothing_is_one() {
        let least = Limit::new(0, 0);
        assert_eq!(least, Limit::new(1, 1));
        let bucket = AtomicU64::new(0);
        assert!(least.take(&bucket, 7) && bucket.get() == 7 + SECOND);
        assert!(!least.take(&bucket, 8));
        assert!(least.take(&bucket, 7 + SECOND) && bucket.get() == 7 + 2 * SECOND);
    }

    #[test]
    fn what_another_limit_wrote_is_an_empty_bucket_and_no_lock() {
        let bucket = AtomicU64::new(0);
        assert_eq!(given(&Limit::new(1, 200), &bucket, SECOND), 200);
        assert!(!DEFAULT.take(&bucket, SECOND));
        assert!(DEFAULT.take(&bucket, SECOND + DEFAULT.interval_ns));
        assert_eq!(given(&DEFAULT, &bucket, 11 * SECOND), 200);
    }

    /// A processor reads the clock, another one takes the last token at a later time, and only
    /// then does the first look into the bucket.
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
    fn who_is_interrupted_between_look_and_write_takes_what_is_there_then() {
        let contended = |missing: u64, others| Contended {
            place: AtomicU64::new(SECOND + missing * DEFAULT.interval_ns),
            others: Cell::new(others),
        };
        let bucket = contended(0, 3);
        assert!(DEFAULT.take(&bucket, SECOND));
        assert_eq!(bucket.get(), SECOND + 4 * DEFAULT.interval_ns, "four tokens are gone");
        let bucket = contended(199, 1);
        assert!(!DEFAULT.take(&bucket, SECOND), "somebody else had the last");
        assert_eq!(bucket.get(), SECOND + 200 * DEFAULT.interval_ns);
        let bucket = contended(0, 100);
        assert!(!DEFAULT.take(&bucket, SECOND), "others are always faster");
    }

    /// Each has a clock that is behind the others' by some microseconds.
    #[test]
    fn takers_at_once_get_what_one_would_get() {
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
        // In 0.9 s; one may come too early for the last, or be overtaken.
        let taken = taken.load(Relaxed);
        assert!((200 + 43..=200 + 45).contains(&taken), "{taken}");
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

        /// Clocks that are out of order by up to 50 µs give no more than those 50 µs are worth.
        #[test]
        fn clocks_out_of_order_are_worth_what_they_differ_by(
            per_second in 1u32..200,
            burst in 1u32..50,
            steps in proptest::collection::vec((0u64..SECOND / 20, 0u64..50 * MICROSECOND), 1..200),
        ) {
            let limit = Limit::new(per_second, burst);
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

    /// A thousand peers behind one NAT come back at once, each trying again after 5 s and up to a
    /// third of one (REKEY_TIMEOUT and its jitter; WireGuard paper, section 6.1) until it is let
    /// in: all are in within a minute, whoever is unlucky at first.
    #[test]
    fn a_thousand_peers_behind_one_address_are_in_within_a_minute() {
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
