//! Rates and quotas: what is charged to whom, and what a packet over a limit moves.

use std::net::IpAddr;

use relay::model::{Limits, Period, Quota, Rate, Relay};
use relay_common::{Reason, verdict::Verdict};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, REDIRECT, SHOT, address},
};

use crate::{four, possible};

/// An interface other than that of test runs.
const ELSEWHERE: u32 = 7;

/// Bytes that come out of a bucket at once at a low rate.
const DEPTH: u64 = 1 << 16;

fn quota(bytes: u64) -> Option<Quota> {
    Some(Quota { bytes, period: Period::Day })
}

fn lowest_rate() -> Option<Rate> {
    Some(Rate::MIN)
}

/// The policy of [`four`] with these limits of its first two peers, which list each other.
fn limited(first: Limits, second: Limits) -> Relay {
    let Relay { mut peers, .. } = four();
    (peers[0].limits, peers[1].limits) = (first, second);
    Relay { peers, ..four() }
}

fn programs(test: &str, first: Limits, second: Limits) -> Option<ProgramRun> {
    possible(test).then(|| ProgramRun::new(limited(first, second)))
}

fn udp([from, to]: [&str; 2], len: usize) -> Inner {
    let headers = if from.contains(':') { 48 } else { 28 };
    Inner::udp(address(from), address(to), len - headers)
}

/// Bytes used from and to the peer of a slot.
fn used(programs: &mut ProgramRun, slot: u32) -> [u64; 2] {
    let used = programs.loaded().used(slot).expect("the meters");
    [used.used_from, used.used_to]
}

const THERE: [&str; 2] = ["10.3.2.2", "10.3.2.3"];
const THERE_V6: [&str; 2] = ["fd00::3:2:2", "fd00::3:2:3"];

fn back([from, to]: [&str; 2]) -> [&str; 2] {
    [to, from]
}

#[test]
fn a_quota_is_charged_with_what_the_counters_count() {
    let limits = Limits { quota: quota(1 << 30), ..Limits::default() };
    let Some(mut programs) = programs("limits::charged", limits, limits) else { return };
    let mut expected = [[0; 2]; 2];
    for ends in [THERE, back(THERE), THERE_V6, back(THERE_V6)] {
        let source = usize::from(ends == back(THERE) || ends == back(THERE_V6));
        // Those longer than the MTU and those with few hops left do not take the fast path.
        for (inner, verdict) in [
            (udp(ends, 84), REDIRECT),
            (udp(ends, 1280), REDIRECT),
            (udp(ends, 84).with_ttl(1), REDIRECT),
        ] {
            let ((found, _), moved) = programs.moved(|p| p.ingress(&inner));
            assert_eq!(found, verdict, "{ends:?}");
            if moved.len() > 1 {
                expected[source][0] += inner.bytes().len() as u64;
                expected[1 - source][1] += inner.bytes().len() as u64;
            }
            assert_eq!([1, 2].map(|slot| used(&mut programs, slot)), expected, "{ends:?}");
        }
    }
    // An aggregate of two segments of 1300 bytes and one of 400, each with 52 bytes of headers.
    let mut tcp = vec![0; 32 + 3000];
    tcp[12] = 0x80;
    let inner = Inner::new(address(THERE[0]), address(THERE[1]), 6, &tcp);
    assert_eq!(programs.ingress_aggregate(&inner, (3, 1300)).0, REDIRECT);
    expected[0][0] += 3 * 52 + 3000;
    expected[1][1] += 3 * 52 + 3000;
    assert_eq!([1, 2].map(|slot| used(&mut programs, slot)), expected);
    // What the policy drops is charged to nobody.
    assert_eq!(programs.ingress(&udp(["10.3.2.4", "10.3.2.2"], 84)).0, REDIRECT);
    assert_eq!([1, 2, 3].map(|slot| used(&mut programs, slot)), [expected[0], expected[1], [0; 2]]);
}

#[test]
fn traffic_with_the_host_is_charged_to_the_peer() {
    let limits = Limits { quota_from: quota(DEPTH), quota_to: quota(3_100), ..Limits::default() };
    let Some(mut programs) = programs("limits::host", limits, Limits::default()) else { return };
    let ping = Inner::echo(["10.3.2.2", "10.3.2.1"].map(address), true, 1);
    let len = ping.bytes().len() as u64;
    let (run, moved) = programs.moved(|p| p.ingress(&ping).0);
    assert_eq!(
        (run, moved),
        (OK, vec!["1 host_rx_packets +1".to_owned(), format!("1 host_rx_bytes +{len}"),])
    );
    let to_it = udp(["10.3.2.1", "10.3.2.2"], 60);
    assert_eq!(programs.egress(&to_it, 0).0, OK);
    assert_eq!(used(&mut programs, 1), [len, 60]);
    let whole = udp(["10.3.2.1", "10.3.2.2"], 3_000);
    assert_eq!(programs.egress(&whole, 0).0, OK);
    let (run, moved) = programs.moved(|p| p.egress(&whole, 0).0);
    assert_eq!((run, moved), (SHOT, vec!["0 quota +1".to_owned()]));
    assert_eq!(used(&mut programs, 1), [len, 3_060]);
    let (run, moved) = programs.moved(|p| p.egress(&to_it, ELSEWHERE).0);
    assert_eq!((run, moved), (SHOT, vec!["0 forwarded_in +1".to_owned()]));
    // Another peer has none.
    assert_eq!(programs.egress(&udp(["10.3.2.1", "10.3.2.3"], 3_000), 0).0, OK);
}

#[test]
fn what_exceeds_a_quota_is_dropped_as_quota_and_what_fits_still_passes() {
    let first = Limits { quota: quota(DEPTH), ..Limits::default() };
    for ends in [THERE, back(THERE), THERE_V6, back(THERE_V6)] {
        let Some(mut programs) = programs("limits::quota", first, Limits::default()) else {
            return;
        };
        let sender = if ends[0].ends_with('2') { 1 } else { 2 };
        let big = udp(ends, 1_280);
        for _ in 0..DEPTH / 1_280 {
            assert_eq!(programs.ingress(&big).0, REDIRECT, "{ends:?}");
        }
        let left = usize::try_from(DEPTH % 1_280).expect("few bytes");
        let ((verdict, out), moved) = programs.moved(|p| p.ingress(&udp(ends, left + 1)));
        assert_eq!(moved, [format!("{sender} quota +1")], "{ends:?}");
        // Its sender gets an ICMP error.
        assert!(verdict == REDIRECT && out != udp(ends, left + 1).with_ttl(63).bytes());
        assert_eq!(programs.ask(&udp(ends, left + 1)), Err(Reason::Quota));
        // A probe counts as two packets.
        assert_eq!(programs.ask(&udp(ends, left / 2)), Ok(Verdict::Relay));
        assert_eq!(programs.ingress(&udp(ends, left)).0, REDIRECT, "{ends:?}");
        let used = used(&mut programs, 1);
        assert_eq!(used[0] + used[1], DEPTH, "{ends:?}");
        for other in [back(ends), ends] {
            let (_, moved) = programs.moved(|p| p.ingress(&udp(other, 60)));
            assert!(moved.len() == 1 && moved[0].ends_with("quota +1"), "{moved:?}");
        }
    }
}

#[test]
fn what_exceeds_a_rate_is_dropped_as_rate_and_moves_nothing_else() {
    let from = Limits { rate_from: lowest_rate(), ..Limits::default() };
    let to = Limits { rate_to: lowest_rate(), ..Limits::default() };
    let none = Limits::default();
    for (first, second, ends) in [
        (from, none, THERE),
        (none, to, THERE_V6),
        (to, none, back(THERE)),
        (none, from, back(THERE_V6)),
    ] {
        let Some(mut programs) = programs("limits::rate", first, second) else { return };
        let sender = if ends[0].ends_with('2') { 1 } else { 2 };
        let inner = udp(ends, 1_280);
        let passed = (0..200).take_while(|_| programs.ingress(&inner).0 == REDIRECT).count() as u64;
        let depth = DEPTH / 1_280;
        // What comes back meanwhile is a packet in 1.28 s.
        assert!((depth + 1..depth + 4).contains(&passed), "{passed} of {depth}");
        assert_eq!(programs.ask(&inner), Err(Reason::Rate));
        let ((verdict, _), moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!((verdict, moved), (SHOT, vec![format!("{sender} rate +1")]), "{ends:?}");
        // The other way nothing is limited.
        for _ in 0..200 {
            assert_eq!(programs.ingress(&udp(back(ends), 1_280)).0, REDIRECT, "{ends:?}");
        }
    }
}

#[test]
fn peers_without_limits_beside_one_that_has_exhausted_its_own_lose_nothing() {
    let first = Limits { rate_from: lowest_rate(), quota: quota(DEPTH), ..Limits::default() };
    let Some(mut programs) = programs("limits::others", first, Limits::default()) else { return };
    while programs.ingress(&udp(THERE, 1_280)).0 == REDIRECT && used(&mut programs, 1)[0] < 60_000 {
    }
    let ends: [IpAddr; 2] = ["10.3.2.3", "192.168.7.1"].map(address);
    let (run, moved) = programs.moved(|p| p.ingress(&Inner::udp(ends[0], ends[1], 32)).0);
    assert_eq!((run, moved), (SHOT, vec!["2 hairpin +1".to_owned()]));
    assert_eq!(used(&mut programs, 2), [0; 2]);
    let to_host = Inner::echo(["10.3.2.3", "10.3.2.1"].map(address), true, 1);
    assert_eq!(programs.ingress(&to_host).0, OK);
}
