//! The process that records is killed at any moment.

use std::{
    env,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
};

use super::*;

/// Tells the child where its history is.
const PLACE: &str = "RELAY_TEST_HISTORY";
const ROUNDS: usize = 20;
const PEERS: u16 = 100;

/// Counts after so many samples: a function of their number alone.
fn nth(number: u64) -> Sample {
    let peers: Vec<_> = (0..PEERS).map(|peer| (peer, number * 10)).collect();
    sample(START + 10 * number, "a", &peers)
}

/// What the child of the next test does; without one, nothing.
#[test]
fn a_child_records_until_it_is_killed() {
    let Some(path) = env::var_os(PLACE).map(PathBuf::from) else { return };
    let begin = match Reader::open(&path).and_then(|reader| reader.recorded()) {
        Ok(recorded) => (recorded.latest - START) / 10 + 1,
        Err(_none) => 0,
    };
    let mut store = Store::open(&path).expect("opened");
    for number in begin.. {
        store.record(&nth(number)).expect("recorded");
        println!("\ncommitted {number}");
    }
}

#[test]
fn every_committed_sample_is_there_after_kill_9() {
    let (_directory, path) = place();
    let mut all = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args([
                "--exact",
                "--nocapture",
                "history::tests::killed::a_child_records_until_it_is_killed",
            ])
            .env(PLACE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let committed = output.lines().map_while(Result::ok);
        let mut committed =
            committed.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        // At another place in another sample each time.
        let last = committed.by_ref().nth(round * 3 % 17).expect("samples");
        child.kill().expect("killed");
        assert_eq!(child.wait().expect("ended").signal(), Some(9));
        let last = committed.last().unwrap_or(last);
        let mut store = Store::open(&path).expect("opened");
        assert_eq!(store.notice(), None);
        let reader = Reader::open(&path).expect("readable");
        let latest = (reader.recorded().expect("samples").latest - START) / 10;
        assert!(latest == last || latest == last + 1, "{latest} after {last}");
        let usage = reader.usage(0, u64::MAX).expect("sums");
        assert_eq!(usage.peers.len(), usize::from(PEERS));
        assert!(usage.peers.iter().all(|peer| peer.amounts.rx_bytes() == latest * 10));
        assert_eq!(usage.relay.rx_bytes(), latest * 10 * u64::from(PEERS));
        store.record(&nth(latest + 1)).expect("recording goes on");
        all = latest + 1;
    }
    assert!(all > u64::try_from(ROUNDS).expect("few"));
}
