mod bounded;
mod killed;
mod looking;
mod sums;
mod torn;

use std::path::{Path, PathBuf};

use relay_common::{PairCounters, PeerCounters, counters::RuleCounters};
use tempfile::TempDir;

use super::{Family, Limits, PairSample, PeerSample, Reader, RuleSample, Sample, Store};
use crate::model::PublicKey;

/// A Tuesday.
const START: u64 = 1_700_000_000;

/// A directory for a history, and its path.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relay0.db");
    (directory, path)
}

fn key(number: u16) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

/// A sample in which each peer has these bytes from it, in packets of ten bytes.
fn sample(time: u64, life: &str, peers: &[(u16, u64)]) -> Sample {
    let members = peers.iter().map(|&(peer, bytes)| PeerSample {
        public_key: key(peer),
        name: Some(format!("p{peer}")),
        traffic: PeerCounters { rx_bytes: bytes, rx_packets: bytes / 10, ..Default::default() },
    });
    Sample { time, peers: Family::of(Some(life.to_owned()), members), ..Sample::default() }
}

/// The same with pairs, a rule and dropped packets.
fn full(time: u64, life: &str, bytes: u64) -> Sample {
    let life = || Some(life.to_owned());
    let pair = |from, to, bytes| PairSample {
        from: key(from),
        to: key(to),
        traffic: PairCounters { packets: bytes / 10, bytes },
    };
    let traffic = RuleCounters { packets: bytes / 10, bytes, flows: 1, last_ns: 0 };
    let dropped = [(Some(key(1)), "hairpin", bytes / 100), (None, "source_unknown", 3)];
    Sample {
        dropped: Family::of(life(), dropped),
        pairs: Family::of(life(), [pair(1, 2, bytes), pair(2, 1, bytes / 2)]),
        rules: Family::of(life(), [RuleSample { name: "ssh".to_owned(), traffic }]),
        ..sample(time, &life().expect("one"), &[(1, bytes), (2, bytes / 2)])
    }
}

/// Bytes of each peer over all time.
fn bytes(path: &Path) -> Vec<(String, u64)> {
    let usage = Reader::open(path).expect("readable").usage(0, u64::MAX).expect("sums");
    usage.peers.into_iter().map(|peer| (peer.name, peer.amounts.rx_bytes())).collect()
}

fn open(path: &Path) -> Store {
    let mut store = Store::open(path).expect("opened");
    assert_eq!(store.notice(), None);
    store
}
