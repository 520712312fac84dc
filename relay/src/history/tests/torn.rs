//! A file that is damaged, somebody else's, or of another version.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::*;
use crate::history::HistoryError;

/// A history with a few samples.
fn written(path: &Path) {
    let mut store = open(path);
    for step in 0..50 {
        let peers: Vec<_> = (0..40).map(|peer| (peer, step * 100)).collect();
        store.record(&sample(START + 10 * step, "a", &peers)).expect("recorded");
    }
}

/// Files in the directory of a history.
fn files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().expect("a directory")).expect("readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.ends_with("-journal"));
    names.sort();
    names
}

/// What becomes of a file's bytes.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_file_is_renamed_and_recording_goes_on() {
    let damages: [(&str, Damage); 5] = [
        ("cut off", |bytes| bytes.truncate(bytes.len() / 2)),
        ("cut off within a page", |bytes| bytes.truncate(bytes.len() - 1000)),
        ("garbage in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 6000].fill(0xa5);
        }),
        ("no database", |bytes| *bytes = b"these are my notes\n".repeat(40)),
        ("zeros", |bytes| bytes.fill(0)),
    ];
    for (what, damage) in damages {
        let (_directory, path) = place();
        written(&path);
        let mut torn = fs::read(&path).expect("a file");
        damage(&mut torn);
        fs::write(&path, &torn).expect("damaged");
        let mut store = Store::open(&path).expect(what);
        let notice = store.notice().expect(what);
        assert!(notice.contains("was damaged ("), "{what}: {notice}");
        assert!(notice.ends_with(", and a new one begins"), "{what}: {notice}");
        store.record(&sample(START + 1000, "a", &[(1, 5000)])).expect("recorded");
        store.record(&sample(START + 1010, "a", &[(1, 5100)])).expect("recorded");
        assert_eq!(bytes(&path), [("p1".to_owned(), 100)], "{what}");
        let files = files(&path);
        assert_eq!(files.len(), 2, "{what}: {files:?}");
        assert!(files[1].starts_with("relay0.db.damaged-"), "{what}: {files:?}");
        assert!(notice.contains(&files[1]), "{what}: {notice}");
        let kept = fs::read(path.with_file_name(&files[1])).expect("kept");
        assert!(kept == torn, "{what}: the damaged file was changed");
    }
}

#[test]
fn a_file_that_is_damaged_while_it_is_in_use_is_renamed() {
    let (_directory, path) = place();
    written(&path);
    let mut store = open(&path);
    let len = fs::metadata(&path).expect("a file").len();
    fs::write(&path, vec![0x5a; usize::try_from(len).expect("small")]).expect("damaged");
    store.record(&sample(START + 1000, "a", &[(1, 5000)])).expect("recorded");
    assert!(store.notice().expect("a notice").contains("damaged"));
    store.record(&sample(START + 1010, "a", &[(1, 5100)])).expect("recorded");
    assert_eq!(bytes(&path), [("p1".to_owned(), 100)]);
}

#[test]
fn an_empty_file_is_a_history_that_begins() {
    let (_directory, path) = place();
    fs::write(&path, "").expect("an empty file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    assert!(matches!(Reader::open(&path), Err(HistoryError::Empty { .. })));
    open(&path).record(&sample(START, "a", &[(1, 1)])).expect("recorded");
    assert_eq!(bytes(&path), [("p1".to_owned(), 0)]);
}

#[test]
fn what_a_newer_relay_or_something_else_wrote_stays_as_it_is() {
    let (_directory, path) = place();
    written(&path);
    let change = |statement: &str| {
        let file = rusqlite::Connection::open(&path).expect("opened");
        file.execute_batch(statement).expect("changed");
        drop(file);
        fs::read(&path).expect("a file")
    };
    let newer = change("PRAGMA user_version = 2");
    let error = Store::open(&path).expect_err("newer").to_string();
    assert!(error.contains("has version 2, but this relay knows 1 and older"), "{error}");
    assert!(matches!(Reader::open(&path), Err(HistoryError::Newer { .. })));
    assert!(fs::read(&path).expect("a file") == newer);
    let foreign = change("PRAGMA application_id = 1");
    assert!(matches!(Store::open(&path), Err(HistoryError::Foreign { .. })));
    assert!(matches!(Reader::open(&path), Err(HistoryError::Foreign { .. })));
    assert!(fs::read(&path).expect("a file") == foreign);
    assert_eq!(files(&path).len(), 1);
}

#[test]
fn the_file_is_for_its_owner_and_what_others_can_write_is_not_used() {
    let (directory, _path) = place();
    let path = directory.path().join("state/relay0.db");
    drop(open(&path));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for (of, ill, well) in [(&*path, 0o620, 0o640), (path.parent().expect("one"), 0o777, 0o755)] {
        set(of, ill);
        for error in [Store::open(&path).expect_err("open"), Reader::open(&path).expect_err("open")]
        {
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("{} is not used as history", of.display())),
                "{text}"
            );
            assert!(text.contains(&format!("has mode {ill:04o}; expected 0")), "{text}");
        }
        set(of, well);
        drop(open(&path));
    }
    let link = directory.path().join("link.db");
    symlink(&path, &link).expect("a link");
    let error = Store::open(&link).expect_err("a link").to_string();
    assert!(error.contains("is no regular file"), "{error}");
}
