//! `relay usage` and `relay stats --since`, of a history that a test has written.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

use relay::{
    history::{Family, PairSample, PeerSample, RuleSample, Sample, Store},
    model::PublicKey,
};
use relay_common::{PairCounters, PeerCounters, counters::RuleCounters};

use super::site::{OTHERS, PUBLIC, Site};

/// 2024-02-10T12:00:00Z.
const FEBRUARY: u64 = 1_707_566_400;

fn key(text: &str) -> PublicKey {
    text.parse().expect("a key")
}

/// After so many bytes; `c` is not in the configuration.
fn sample(time: u64, bytes: u64) -> Sample {
    let life = || Some("a life".to_owned());
    let peer = |name: &str, public_key, rx_bytes, host_rx_bytes| PeerSample {
        public_key: key(public_key),
        name: Some(name.to_owned()),
        traffic: PeerCounters {
            rx_packets: rx_bytes / 100,
            rx_bytes,
            tx_packets: 2 * (rx_bytes / 100),
            tx_bytes: 2 * rx_bytes,
            host_rx_packets: host_rx_bytes / 50,
            host_rx_bytes,
            ..PeerCounters::default()
        },
    };
    let pair = |from, to, bytes| PairSample {
        from: key(from),
        to: key(to),
        traffic: PairCounters { packets: bytes / 100, bytes },
    };
    let a = (Some(key(PUBLIC[1])), "not_in_either_list", bytes / 1000);
    let peers = [
        peer("a", PUBLIC[1], bytes, 0),
        peer("b", OTHERS[0], 3 * bytes, 500),
        peer("c", OTHERS[1], 0, 0),
    ];
    let rule = RuleCounters { packets: 7, bytes: bytes / 2, flows: bytes / 1000, last_ns: 1 };
    Sample {
        time,
        peers: Family::of(life(), peers),
        dropped: Family::of(life(), [a, (None, "source_unknown", 4)]),
        pairs: Family::of(
            life(),
            [pair(PUBLIC[1], OTHERS[0], bytes), pair(OTHERS[0], PUBLIC[1], 9)],
        ),
        rules: Family::of(life(), [RuleSample { name: "ssh".to_owned(), traffic: rule }]),
    }
}

/// A relay with samples from `begin` on, ten seconds apart.
fn recorded(begin: u64) -> Site {
    let site = Site::new();
    let path = site.path("state/history/relay0.db");
    let mut store = Store::open(&path).expect("opened");
    for (number, bytes) in (0..).zip([1000, 5000, 250_000, 2_500_000]) {
        store.record(&sample(begin + 10 * number, bytes)).expect("recorded");
    }
    site
}

#[test]
fn usage_is_a_table_of_peers_pairs_or_rules() {
    let site = recorded(FEBRUARY);
    let texts = [
        "usage --month 2024-02",
        "usage --day 2024-02-10 a",
        "usage --month 2024-02 --pairs",
        "usage --month 2024-02 --rules",
    ];
    let texts = texts.map(|words| site.relay(words).ended(0).out);
    insta::assert_snapshot!(texts.join("\n---\n"));
}

#[test]
fn usage_as_csv_has_crlf_and_numbers_alone() {
    let site = recorded(FEBRUARY);
    let csv = site.relay("usage --month 2024-02 --csv").ended(0).out;
    assert!(csv.lines().count() == 4 && csv.matches("\r\n").count() == 4, "{csv:?}");
    insta::assert_snapshot!(csv.replace('\r', ""));
}

#[test]
fn usage_as_json_is_as_its_schema_says() {
    let site = recorded(FEBRUARY);
    let run = site.relay("usage --month 2024-02 --json").ended(0);
    let json = super::schema::parse("usage", &run.out);
    assert_eq!(json["countedFrom"], "2024-02-10T12:00:00Z");
    assert_eq!(json["countedTo"], "2024-02-10T12:00:30Z");
    assert_eq!(json["peers"][0]["peer"], "b");
    assert_eq!(json["peers"][0]["relayed"]["rxBytes"], 3 * 2_499_000);
    assert_eq!(json["peers"][0]["host"]["rxBytes"], 0);
    assert_eq!(json["peers"][1]["dropped"], 2499);
    assert_eq!(json["pairs"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["rules"][0]["flows"], 2499);
}

#[test]
fn counts_since_a_time_have_the_layout_of_stats() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let site = recorded(now - 600);
    let text = site.relay("stats --since 24h").ended(0).out;
    let (head, rest) = text.split_once("\n  counted: from ").expect("a time");
    let (_times, rest) = rest.split_once('\n').expect("more lines");
    insta::assert_snapshot!(format!("{head}\n  counted: …\n{rest}"));
    let json = super::schema::parse("since", &site.relay("stats --since 24h --json").ended(0).out);
    assert_eq!(json["totals"]["relayed"]["rxBytes"], 4 * 2_499_000);
    assert_eq!(json["totals"]["dropped"]["not_in_either_list"], 2499);
    assert_eq!(json["peers"][0]["dropped"]["not_in_either_list"], 2499);
    // The first step alone is older.
    let late = site.relay("stats --since 1s").ended(2).err;
    assert!(late.starts_with("relay: nothing was counted in the time since "), "{late}");
}

#[test]
fn what_is_not_there_is_said_with_what_to_do() {
    let site = Site::new();
    let none = site.relay("usage").ended(3).err;
    assert!(none.contains("there is no history yet: "), "{none}");
    assert!(
        none.ends_with("state/history/relay0.db does not exist; `relay serve` records it\n"),
        "{none}"
    );
    let site = recorded(FEBRUARY);
    let error = |words: &str, code| site.relay(words).ended(code).err;
    let mut texts = vec![
        error("usage --month 2024-02 d", 2),
        error("usage --month 2024-01", 2),
        error("usage --month 2024-13", 2),
        error("usage --day yesterday", 2),
        error("usage --month 2024-02 --day 2024-02-10", 2),
        error("usage --json --csv", 2),
        error("stats --since forever", 2),
    ];
    let future = error("usage --month 9998-01", 2);
    texts.push(future.split(", and now").next().unwrap_or_default().to_owned());
    insta::assert_snapshot!(texts.join("\n---\n"));
    let path = site.path("state/history/relay0.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    let open = error("usage --month 2024-02", 1);
    assert!(open.contains("has mode 0666; expected 0600"), "{open}");
}
