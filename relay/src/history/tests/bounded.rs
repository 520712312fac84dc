//! The file has a limit.

use std::fs;

use super::*;

fn many(time: u64, count: u16, bytes: u64) -> Sample {
    let peers: Vec<_> = (0..count).map(|peer| (peer, bytes + u64::from(peer))).collect();
    sample(time, "a", &peers)
}

#[test]
fn the_oldest_goes_when_the_file_is_full() {
    let (_directory, path) = place();
    let limits = Limits { bytes: 200_000, ..Limits::default() };
    let mut store = Store::with(&path, limits).expect("opened");
    // An hour each, of which the table of hours holds a few days.
    let mut now = START;
    for hour in 0..200 {
        for pause in [3500, 100] {
            now += pause;
            store.record(&many(now, 60, hour * 10_000 + pause)).expect("recorded");
        }
    }
    let len = fs::metadata(&path).expect("a file").len();
    assert!(len <= limits.bytes * 3 / 2, "{len}");
    let reader = Reader::open(&path).expect("readable");
    let of = |from, to| reader.usage(from, to).expect("sums").relay.rx_bytes();
    assert_eq!(of(START, START + 50 * 3600), 0);
    assert!(of(now - 24 * 3600, now) > 0);
}

#[test]
fn a_year_old_hour_goes_and_with_the_last_its_peer() {
    let (_directory, path) = place();
    let mut store = open(&path);
    store.record(&sample(START, "a", &[(1, 0), (2, 0)])).expect("recorded");
    store.record(&sample(START + 10, "a", &[(1, 50), (2, 50)])).expect("recorded");
    let mut now = START + 20;
    // A sample a day, so that each of them thins a little.
    for _day in 0..420 {
        store.record(&sample(now, "a", &[(2, 60)])).expect("recorded");
        now += 86_400;
    }
    assert_eq!(bytes(&path), [("p2".to_owned(), 0)]);
    // It comes back as a new one.
    store.record(&sample(now, "a", &[(1, 5), (2, 60)])).expect("recorded");
    assert_eq!(bytes(&path), [("p2".to_owned(), 0), ("p1".to_owned(), 5)]);
}

#[test]
fn more_pairs_than_have_a_place_are_left_out() {
    let (_directory, path) = place();
    let limits = Limits { pairs: 2, ..Limits::default() };
    let mut store = Store::with(&path, limits).expect("opened");
    let mut sample = full(START, "a", 0);
    store.record(&sample).expect("recorded");
    let pairs = sample.pairs.as_mut().expect("pairs");
    pairs.members.push(PairSample { to: key(3), ..pairs.members[0] });
    for pair in &mut pairs.members {
        pair.traffic = PairCounters { packets: 1, bytes: 100 };
    }
    sample.time += 10;
    store.record(&sample).expect("recorded");
    let usage = Reader::open(&path).expect("readable").usage(0, u64::MAX).expect("sums");
    let found: Vec<_> =
        usage.pairs.iter().map(|pair| (pair.key.1, pair.amounts.rx_bytes())).collect();
    assert_eq!(found, [(key(2), 100), (key(1), 100)]);
}

#[test]
fn a_wrong_clock_costs_little() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let mut total = 0;
    let mut record = |time| {
        total += 100;
        store.record(&sample(time, "a", &[(1, total)])).expect("recorded");
    };
    for hour in 0..48 {
        record(START + hour * 3600);
    }
    // Ten years ahead for a minute, then right again.
    for second in [0, 10, 20, 30, 40, 50] {
        record(START + 10 * 365 * 86_400 + second);
    }
    for step in 0..10 {
        record(START + 48 * 3600 + step * 10);
    }
    let reader = Reader::open(&path).expect("readable");
    let kept = reader.usage(0, START + 49 * 3600).expect("sums").relay.rx_bytes();
    assert!(kept > 4800, "{kept}");
}
