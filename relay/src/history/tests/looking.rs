//! Who reads changes nothing, and works beside who writes.

use std::fs;

use super::*;
use crate::history::HistoryError;

#[test]
fn a_reader_leaves_no_trace_and_needs_no_writer() {
    let (directory, path) = place();
    let missing = Reader::open(&path).expect_err("nothing there").to_string();
    assert!(missing.ends_with("does not exist; `relay serve` records it"), "{missing}");
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0);
    drop(open(&path));
    let error = Reader::open(&path).expect("a file").usage(0, 1).expect_err("no sample");
    assert!(matches!(error, HistoryError::Empty { .. }));
    open(&path).record(&sample(START, "a", &[(1, 5)])).expect("recorded");
    let names = || {
        let entries = fs::read_dir(directory.path()).expect("readable");
        entries.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>()
    };
    let (before, there) = (fs::read(&path).expect("a file"), names());
    assert_eq!(bytes(&path), [("p1".to_owned(), 0)]);
    assert!(fs::read(&path).expect("a file") == before);
    assert_eq!(names(), there);
}

#[test]
fn a_reader_sees_each_sample_that_is_recorded_beside_it() {
    let (_directory, path) = place();
    let mut store = open(&path);
    store.record(&sample(START, "a", &[(1, 0)])).expect("recorded");
    let reader = Reader::open(&path).expect("readable");
    for number in 1..20 {
        store.record(&sample(START + number * 10, "a", &[(1, number)])).expect("recorded");
        assert_eq!(reader.usage(0, u64::MAX).expect("sums").relay.rx_bytes(), number);
        assert_eq!(reader.recorded().expect("samples").latest, START + number * 10);
    }
}
