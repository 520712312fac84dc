extern crate std;

use proptest::prelude::*;
use std::{thread, vec, vec::Vec};

use super::*;
use crate::{
    limits::{HIGHEST_RATE, LEAST_DEPTH, LOWEST_RATE, Rate, UNLIMITED},
    period::Period,
};

const SECOND: u64 = 1_000_000_000;
/// When tests begin: 2026-11-26, a Thursday, after ten days without a pause.
const DAY: u64 = 20_783;
const BOOT_NS: u64 = 864_000 * SECOND;

/// Slot 0 is nobody's.
struct Bench {
    limits: Vec<Limits>,
    meters: Vec<Meter>,
}

impl Bench {
    fn of(limits: &[Limits]) -> Self {
        let limits: Vec<_> = [Limits::NONE].into_iter().chain(limits.iter().copied()).collect();
        Self { meters: limits.iter().map(|_| Meter::default()).collect(), limits }
    }

    /// Lets the slow path decide, as a program does.
    fn slow(&self, slots: [u64; 2], bytes: u64, moment: Moment) -> Result<(), Reason> {
        check(self, slots, bytes, moment)?;
        charge(self, slots, bytes, moment).expect("slots of the bench");
        Ok(())
    }

    /// Lets the fast path decide, and the slow one what it leaves.
    fn whole(&self, slots: [u64; 2], bytes: u64, moment: Moment) -> Result<(), Reason> {
        match pass(self, slots, bytes, moment.now, || moment.day) {
            Some(()) => Ok(()),
            None => self.slow(slots, bytes, moment),
        }
    }

    fn state(&self) -> Vec<[u64; 5]> {
        let state = |meter: &Meter| {
            [&meter.from, &meter.to, &meter.day, &meter.used_from, &meter.used_to].map(Cell::get)
        };
        self.meters.iter().map(state).collect()
    }
}

impl Meters for Bench {
    fn have_limits(&self, slots: [u64; 2]) -> bool {
        slots.iter().all(|&slot| index(slot) < self.limits.len())
    }

    fn limits(&self, slot: u64) -> &Limits {
        &self.limits[index(slot)]
    }

    fn meter(&self, slot: u64) -> Option<&Meter> {
        self.meters.get(index(slot))
    }

    fn add(&self, word: &Cell<u64>, by: u64) {
        word.set(word.get() + by);
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot).expect("few slots")
}

fn at(ns: u64) -> Moment {
    Moment::new(BOOT_NS + ns, DAY)
}

fn rates(from: u64, to: u64) -> Limits {
    let rate = |bits| if bits == 0 { Rate::UNLIMITED } else { Rate::of(bits) };
    Limits::of_rates(rate(from), rate(to))
}

#[test]
fn a_rate_holds_over_any_time_from_the_lowest_to_the_highest() {
    for rate in [LOWEST_RATE, 1_000_000, 123_456_789, 10_000_000_000, HIGHEST_RATE] {
        for (len, limits) in
            [(1_420, rates(rate, 0)), (64, rates(rate, 0)), (65_535, rates(rate, 0))]
        {
            let bench = Bench::of(&[limits, Limits::NONE]);
            // As much as fits: packets are tried twice as fast as the rate.
            let gap_ns = (len * 8 * SECOND / rate / 2).max(1);
            let tried = 20_000u64.max(4 * SECOND / gap_ns).min(200_000);
            let passed = (0..tried)
                .filter(|number| bench.whole([1, 2], len, at(number * gap_ns)).is_ok())
                .count() as u64;
            let elapsed_ns = u128::from(tried * gap_ns);
            let allowed = elapsed_ns * u128::from(rate) / 8 / u128::from(SECOND);
            let depth = (rate / 32).max(LEAST_DEPTH) + len;
            let bytes = u128::from(passed * len);
            // The price of a byte is rounded down, by less than a thousandth; that of a packet by
            // a sixteenth of a nanosecond.
            let over =
                allowed / 500 + allowed * u128::from(rate) / 8 / 16 / u128::from(SECOND * len);
            assert!(
                bytes <= allowed + u128::from(depth) + over,
                "{rate} {len}: {bytes}, {allowed}"
            );
            assert!(bytes >= allowed.min(u128::from(tried * len)) * 99 / 100, "{rate} {len}");
        }
    }
}

#[test]
fn an_aggregate_passes_a_full_bucket_of_any_rate() {
    for rate in [LOWEST_RATE, 1_000_000, HIGHEST_RATE] {
        let bench = Bench::of(&[rates(0, rate), Limits::NONE]);
        assert_eq!(bench.whole([2, 1], 70_000, at(0)), Ok(()), "{rate}");
    }
    let bench = Bench::of(&[rates(LOWEST_RATE, 0), Limits::NONE]);
    assert_eq!(bench.whole([1, 2], 70_000, at(0)), Ok(()));
    assert_eq!(bench.whole([1, 2], 1, at(0)), Err(Reason::Rate));
}

#[test]
fn a_packet_over_one_limit_is_charged_to_neither_side() {
    let limits = [rates(LOWEST_RATE, 0), rates(0, 10_000_000), Limits::NONE];
    let limits = limits.map(|limits| limits.with_quota(1 << 30, Period::Day));
    let bench = Bench::of(&limits);
    assert_eq!(bench.whole([1, 2], 70_000, at(0)), Ok(()));
    let before = bench.state();
    assert_eq!(bench.whole([1, 2], 100, at(0)), Err(Reason::Rate));
    assert_eq!(bench.state(), before);
    // Each side has its own.
    assert_eq!(bench.whole([2, 1], 100, at(0)), Ok(()));
    assert_eq!(bench.whole([3, 2], 100, at(0)), Ok(()));
    assert_eq!(bench.whole([1, 0], 100, at(0)), Err(Reason::Rate));
    assert_eq!(bench.whole([0, 1], 100, at(0)), Ok(()));
}

#[test]
fn a_quota_is_what_remains_of_it_to_the_last_byte() {
    let both = Limits::NONE.with_quota(1_000, Period::Day);
    let bench = Bench::of(&[both, Limits::NONE, Limits::NONE]);
    assert_eq!(bench.whole([1, 2], 600, at(0)), Ok(()));
    assert_eq!(bench.whole([2, 1], 401, at(0)), Err(Reason::Quota));
    assert_eq!(bench.whole([2, 1], 400, at(0)), Ok(()));
    for slots in [[1, 2], [2, 1], [1, 0], [0, 1]] {
        assert_eq!(bench.whole(slots, 1, at(0)), Err(Reason::Quota));
    }
    let apart = Limits::NONE.with_quota_to(500, Period::Week);
    let bench = Bench::of(&[apart, Limits::NONE]);
    assert_eq!(bench.whole([1, 2], 1 << 20, at(0)), Ok(()));
    assert_eq!(bench.whole([2, 1], 500, at(0)), Ok(()));
    assert_eq!(bench.whole([2, 1], 1, at(0)), Err(Reason::Quota));
}

#[test]
fn a_period_begins_with_its_first_day_and_never_by_a_clock_that_is_set_back() {
    // The days until the next period of each begins.
    for (period, days) in [(Period::Day, 1), (Period::Week, 4), (Period::Month, 5)] {
        let bench = Bench::of(&[Limits::NONE.with_quota_from(1_000, period), Limits::NONE]);
        let on = |day| bench.whole([1, 2], 1_000, Moment::new(BOOT_NS, day));
        assert_eq!(on(DAY), Ok(()));
        for day in [DAY, DAY - 1, 0, DAY + days - 1] {
            assert_eq!(on(day), Err(Reason::Quota), "{period:?} {day}");
        }
        assert_eq!(on(DAY + days), Ok(()), "{period:?}");
        assert_eq!(on(DAY), Err(Reason::Quota), "{period:?}");
        assert_eq!(on(DAY + 400), Ok(()), "{period:?}");
    }
}

#[test]
fn what_is_written_in_a_new_period_is_what_was_used_in_it() {
    let bench = Bench::of(&[Limits::NONE.with_quota(1_000, Period::Month), Limits::NONE]);
    let used = |day, bytes| {
        bench.whole([1, 2], bytes, Moment::new(BOOT_NS, day)).expect("it fits");
        bench.state()[1]
    };
    assert_eq!(used(DAY, 10)[2..], [DAY, 10, 0]);
    assert_eq!(used(DAY + 1, 10)[2..], [DAY + 1, 20, 0]);
    assert_eq!(used(DAY, 10)[2..], [DAY + 1, 30, 0]);
    assert_eq!(used(DAY + 5, 7)[2..], [DAY + 5, 7, 0]);
}

#[test]
fn the_state_of_a_slower_rate_is_an_empty_bucket_and_that_of_a_faster_one_goes_on() {
    let mut bench = Bench::of(&[rates(LOWEST_RATE, 0), Limits::NONE]);
    assert_eq!(bench.whole([1, 2], 70_000, at(0)), Ok(()));
    bench.limits[1] = rates(100_000_000, 0);
    let passed = |bench: &Bench, ns| {
        (0..100_000).take_while(|_| bench.whole([1, 2], 1_000, at(ns)).is_ok()).count()
    };
    assert!(passed(&bench, 1) <= 2, "it was empty");
    // 12.5 MB a second; the bucket holds a quarter of that.
    assert!((1_240..=1_260).contains(&passed(&bench, SECOND / 10)));
    assert!((3_120..=3_140).contains(&passed(&bench, 10 * SECOND)));
    bench.limits[1] = rates(LOWEST_RATE, 0);
    // A quarter of a second at the other rate is as long at this one.
    assert!(passed(&bench, 10 * SECOND) <= 66);
}

#[test]
fn nothing_overflows_at_the_end_of_the_clock_s_range() {
    let years_ns = 18 * 366 * 86_400 * SECOND;
    for rate in [LOWEST_RATE, HIGHEST_RATE] {
        let bench = Bench::of(&[rates(rate, rate), Limits::NONE]);
        let late = Moment::new(years_ns, 1 << 40);
        for bytes in [1, 1_420, 1 << 18] {
            assert!(bench.whole([1, 2], bytes, late).is_ok() || rate == LOWEST_RATE);
            assert!(bench.whole([0, 1], bytes, late).is_ok() || rate == LOWEST_RATE);
        }
    }
    assert_eq!(UNLIMITED, u64::MAX);
}

/// Two processors whose clocks differ by up to a jiffy of 10 ms: the one that lags gets nothing that
/// was taken already.
#[test]
fn a_processor_whose_clock_lags_takes_no_more_than_there_is() {
    let bench = Bench::of(&[rates(10_000_000, 0), Limits::NONE]);
    let mut bytes = 0;
    for step in 0..40_000u64 {
        let now = SECOND + step * 100_000;
        for lag in [0, 10_000_000] {
            if bench.whole([1, 2], 1_000, at(now - lag)).is_ok() {
                bytes += 1_000;
            }
        }
    }
    // 4 s at 1.25 MB a second, the bucket's quarter of a second, a jiffy and a packet.
    assert!((5_000_000..5_000_000 + 312_500 + 12_500 + 2_000).contains(&bytes), "{bytes}");
}

#[test]
fn copies_of_a_bench_in_threads_decide_alike() {
    let decide = || {
        let bench = Bench::of(&[rates(1_000_000, 0), Limits::NONE]);
        let results = (0..1_000).map(|step| bench.whole([1, 2], 500, at(step * 1_000_000)).is_ok());
        results.collect::<Vec<_>>()
    };
    let threads = vec![thread::spawn(decide), thread::spawn(decide)];
    let results: Vec<_> = threads.into_iter().map(|it| it.join().expect("a result")).collect();
    assert_eq!(results[0], results[1]);
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let rate = || prop_oneof![Just(0), LOWEST_RATE..10_000_000, Just(1_000_000_000)];
    let period = || prop_oneof![Just(Period::Day), Just(Period::Week), Just(Period::Month)];
    let quota = || proptest::option::of((1_000u64..500_000, period()));
    (rate(), rate(), quota(), quota(), any::<bool>()).prop_map(|(from, to, one, other, both)| {
        let limits = rates(from, to);
        match (one, other, both) {
            (Some((bytes, period)), _, true) => limits.with_quota(bytes, period),
            (one, other, _) => {
                let limits = one.map_or(limits, |(bytes, per)| limits.with_quota_from(bytes, per));
                other.map_or(limits, |(bytes, per)| limits.with_quota_to(bytes, per))
            }
        }
    })
}

proptest! {
    /// The fast path lets pass what the slow one does, and charges the same.
    #[test]
    fn both_paths_decide_alike(
        limits in proptest::collection::vec(any_limits(), 3),
        packets in proptest::collection::vec(
            (0..4u64, 0..4u64, 1..70_000u64, 0..SECOND, prop_oneof![20 => Just(0), 1 => 1..40u64]),
            1..200,
        ),
    ) {
        let (fast, slow) = (Bench::of(&limits), Bench::of(&limits));
        let (mut ns, mut day) = (0, DAY);
        for (source, destination, bytes, gap, days) in packets {
            if source == destination {
                continue;
            }
            ns += gap;
            day += days;
            let moment = Moment::new(BOOT_NS + ns, day);
            let slots = [source, destination];
            prop_assert_eq!(fast.whole(slots, bytes, moment), slow.slow(slots, bytes, moment));
            prop_assert_eq!(fast.state(), slow.state());
        }
    }

    /// Compared with literal buckets, and with quotas that are told when a period begins.
    #[test]
    fn limits_are_buckets_and_sums(
        limits in any_limits(),
        packets in proptest::collection::vec((any::<bool>(), 1..70_000u64, 0..SECOND), 1..200),
    ) {
        let bench = Bench::of(&[limits, Limits::NONE]);
        let mut sums = [0u64; 2];
        let mut ns = 0;
        for (is_from, bytes, gap) in packets {
            ns += gap;
            let way = usize::from(!is_from);
            let slots = if is_from { [1, 2] } else { [2, 1] };
            let (quota, together) = ([limits.quota_from, limits.quota_to][way], limits.together);
            let sum = sums[way] + if together == 0 { 0 } else { sums[1 - way] };
            let decided = bench.whole(slots, bytes, at(ns));
            let is_counted = limits.periods()[way] != 0;
            if is_counted && sum + bytes > quota {
                prop_assert_eq!(decided, Err(Reason::Quota));
            } else {
                prop_assert_ne!(decided, Err(Reason::Quota));
            }
            if decided.is_ok() {
                sums[way] += bytes;
            }
        }
    }
}
