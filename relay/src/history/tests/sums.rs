//! Sums equal what was counted, whatever happens to the counters, the clock and the file.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::history::Subject;

#[derive(Debug, Clone)]
enum Event {
    Counted { peer: u16, bytes: u64 },
    Went { peer: u16 },
    BeganAnew,
    ClockMoved { seconds: i64 },
    Reopened,
    Unnamed,
}

fn event() -> impl Strategy<Value = Event> {
    let clock = prop_oneof![
        8 => 1..60i64,
        3 => 60..4000i64,
        1 => 4000..300_000i64,
        1 => -4000..0i64,
    ];
    prop_oneof![
        8 => (0..4u16, 0..100_000u64).prop_map(|(peer, bytes)| Event::Counted { peer, bytes }),
        1 => (0..4u16).prop_map(|peer| Event::Went { peer }),
        1 => Just(Event::BeganAnew),
        4 => clock.prop_map(|seconds| Event::ClockMoved { seconds }),
        1 => Just(Event::Reopened),
        1 => Just(Event::Unnamed),
    ]
}

/// What the kernel has, and what of it has to be in the history.
#[derive(Debug, Default)]
struct Kernel {
    life: u64,
    totals: BTreeMap<u16, u64>,
    /// Since the latest sample.
    fresh: BTreeMap<u16, u64>,
    expected: BTreeMap<u16, u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn sums_equal_what_was_counted(
        events in prop::collection::vec(prop::collection::vec(event(), 0..4), 1..40),
    ) {
        let (_directory, path) = place();
        let limits = Limits { seconds_kept_s: 300, minutes_kept_s: 7200, ..Limits::default() };
        let mut store = Store::with(&path, limits).expect("opened");
        let mut kernel = Kernel { totals: BTreeMap::from([(0, 500), (1, 0)]), ..Kernel::default() };
        let mut now = START;
        for (round, events) in events.into_iter().enumerate() {
            let mut is_named = true;
            for event in events {
                match event {
                    Event::Counted { peer, bytes } => {
                        *kernel.totals.entry(peer).or_default() += bytes;
                        *kernel.fresh.entry(peer).or_default() += bytes;
                    }
                    // Together with its counters, and what they had since the latest sample.
                    Event::Went { peer } if !kernel.fresh.contains_key(&peer) => {
                        kernel.totals.remove(&peer);
                        break;
                    }
                    Event::Went { .. } => {}
                    Event::BeganAnew => {
                        kernel.life += 1;
                        kernel.totals.values_mut().for_each(|total| *total = 0);
                        kernel.fresh.clear();
                    }
                    Event::ClockMoved { seconds } => now = now.saturating_add_signed(seconds),
                    Event::Reopened => store = Store::with(&path, limits).expect("opened"),
                    Event::Unnamed => is_named = false,
                }
            }
            let totals: Vec<_> = kernel.totals.iter().map(|(peer, total)| (*peer, *total)).collect();
            let mut sample = sample(now, &kernel.life.to_string(), &totals);
            for peer in sample.peers.iter_mut().flat_map(|peers| &mut peers.members) {
                peer.name = peer.name.take().filter(|_| is_named || round == 0);
            }
            store.record(&sample).expect("recorded");
            for (peer, bytes) in std::mem::take(&mut kernel.fresh) {
                // The first sample says where counting begins.
                if round > 0 {
                    *kernel.expected.entry(peer).or_default() += bytes;
                }
            }
        }
        let reader = Reader::open(&path).expect("readable");
        let usage = reader.usage(0, u64::MAX).expect("sums");
        let found = usage.peers.iter().map(|peer| (peer.key, peer.amounts.rx_bytes()));
        let found: BTreeMap<_, _> = found.filter(|(_, bytes)| *bytes > 0).collect();
        let expected = kernel.expected.iter().filter(|(_, bytes)| **bytes > 0);
        let expected: BTreeMap<_, _> = expected.map(|(peer, bytes)| (key(*peer), *bytes)).collect();
        prop_assert_eq!(&found, &expected);
        let all = expected.values().sum::<u64>();
        prop_assert_eq!(usage.relay.rx_bytes(), all);
        // Every step of a year, and of each finer table what the coarser ones show, too.
        let later = now + 400_000;
        let year = reader.series(Subject::Relay, 390 * 86_400, later).expect("a series");
        let sum = year.steps.iter().flatten().map(|step| step.rx_bytes()).sum::<u64>();
        prop_assert_eq!(sum, all);
    }
}

#[test]
fn a_sample_has_peers_pairs_rules_and_reasons() {
    let (_directory, path) = place();
    let mut store = open(&path);
    store.record(&full(START, "a", 1000)).expect("recorded");
    store.record(&full(START + 10, "a", 1500)).expect("recorded");
    let reader = Reader::open(&path).expect("readable");
    let usage = reader.usage(0, u64::MAX).expect("sums");
    assert_eq!(
        usage.peers.iter().map(|peer| peer.amounts.rx_bytes()).collect::<Vec<_>>(),
        [500, 250]
    );
    assert_eq!(usage.peers[0].amounts.dropped, 5);
    let dropped: Vec<_> =
        usage.dropped.iter().map(|of| (of.key, &*of.name, of.amounts.dropped)).collect();
    assert_eq!(dropped, [(Some(key(1)), "hairpin", 5)]);
    let pairs: Vec<_> =
        usage.pairs.iter().map(|pair| (pair.key, pair.amounts.rx_bytes())).collect();
    assert_eq!(pairs, [((key(1), key(2)), 500), ((key(2), key(1)), 250)]);
    let rules: Vec<_> =
        usage.rules.iter().map(|rule| (&*rule.name, rule.amounts.rx_bytes())).collect();
    assert_eq!(rules, [("ssh", 500)]);
    assert_eq!((usage.relay.rx_bytes(), usage.relay.dropped), (750, 5));
}

#[test]
fn counters_that_begin_anew_are_never_subtracted() {
    let (_directory, path) = place();
    let mut store = open(&path);
    store.record(&full(START, "a", 100_000)).expect("recorded");
    // More than before, of another life.
    store.record(&full(START + 10, "b", 200_000)).expect("recorded");
    // Less than before, of the same life: the peer was taken out and put back.
    store.record(&full(START + 20, "b", 7000)).expect("recorded");
    assert_eq!(bytes(&path)[0], ("p1".to_owned(), 207_000));
}

#[test]
fn a_peer_keeps_its_counts_under_a_new_name_and_when_it_comes_back() {
    let (_directory, path) = place();
    let mut store = open(&path);
    store.record(&sample(START, "a", &[(1, 0), (2, 0)])).expect("recorded");
    store.record(&sample(START + 10, "a", &[(1, 70), (2, 10)])).expect("recorded");
    store.record(&sample(START + 20, "a", &[(2, 10)])).expect("recorded");
    let mut back = sample(START + 30, "a", &[(1, 80), (2, 10)]);
    back.peers.as_mut().expect("peers").members[0].name = Some("ann".to_owned());
    store.record(&back).expect("recorded");
    assert_eq!(bytes(&path), [("ann".to_owned(), 150), ("p2".to_owned(), 10)]);
}

#[test]
fn what_another_process_records_is_counted_once() {
    let (_directory, path) = place();
    let mut store = open(&path);
    store.record(&sample(START, "a", &[(1, 0)])).expect("recorded");
    store.record(&sample(START + 10, "a", &[(1, 50)])).expect("recorded");
    assert!(Store::add(&path, &sample(START + 15, "a", &[(1, 90)])).expect("added"));
    store.record(&sample(START + 20, "a", &[(1, 100)])).expect("recorded");
    assert_eq!(bytes(&path), [("p1".to_owned(), 100)]);
    let (_other, nothing) = place();
    assert!(!Store::add(&nothing, &sample(START, "a", &[])).expect("no history"));
    assert!(!nothing.exists());
}

#[test]
fn a_series_has_what_each_step_counted_and_nothing_where_nobody_looked() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let at = |step: u64| START + 10 * step;
    for (step, bytes) in [(0, 0), (1, 100), (2, 100), (4, 400)] {
        store.record(&full(at(step), "a", bytes)).expect("recorded");
    }
    let reader = Reader::open(&path).expect("readable");
    let rx = |subject: Subject<'_>, now| {
        let series = reader.series(subject, 60, now).expect("a series");
        assert_eq!((series.step_s, series.from, series.to), (10, at(0), at(6)));
        series.steps.iter().map(|step| step.map(|step| step.rx_bytes())).collect::<Vec<_>>()
    };
    let expected = [Some(0), Some(100), Some(0), None, Some(300), None];
    assert_eq!(rx(Subject::Peer("p1"), at(6)), expected);
    assert_eq!(rx(Subject::Peer(&key(1).to_string()), at(6) + 9), expected);
    assert_eq!(rx(Subject::Rule("ssh"), at(6)), expected);
    assert_eq!(rx(Subject::Pair("p1", "p2"), at(6)), expected);
    let both = [Some(0), Some(150), Some(0), None, Some(450), None];
    assert_eq!(rx(Subject::Relay, at(6)), both);
    let pair = reader.series(Subject::Pair("p1", "p2"), 60, at(6)).expect("a series");
    assert_eq!(pair.steps[1].map(|step| step.tx_bytes()), Some(50));
    let error = reader.series(Subject::Peer("p3"), 60, at(6)).expect_err("no such peer");
    assert_eq!(error.to_string(), "the history has no peer p3");
}
