//! Packets from and to a disabled peer.

use relay::model::{Peer, Relay};
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, SHOT, address},
};

use crate::{four, possible};

/// An interface other than that of test runs.
const ELSEWHERE: u32 = 7;

/// The policy of [`four`] with its first peer disabled.
fn without_the_first() -> Relay {
    let Relay { mut peers, .. } = four();
    peers[0] = Peer { enabled: false, ..peers[0].clone() };
    Relay { peers, ..four() }
}

#[test]
fn nothing_passes_from_it_or_to_it() {
    if !possible("disabled::peers") {
        return;
    }
    let mut programs = ProgramRun::new(without_the_first());
    for (from, to, verdict, expected) in [
        ("10.3.2.2", "10.3.2.3", SHOT, "1 disabled +1"),
        ("10.3.2.2", "10.3.2.2", SHOT, "1 disabled +1"),
        ("10.3.2.2", "10.3.2.1", SHOT, "1 disabled +1"),
        ("10.3.2.2", "192.0.2.1", SHOT, "1 disabled +1"),
        ("10.3.2.3", "10.3.2.2", REDIRECT, "2 disabled +1"),
        ("10.3.2.5", "10.3.2.2", REDIRECT, "4 disabled +1"),
        ("10.3.2.99", "10.3.2.2", SHOT, "0 source_unknown +1"),
        ("fd00::3:2:2", "fd00::3:2:3", SHOT, "1 disabled +1"),
        ("fd00::3:2:2", "fd00::3:2:1", SHOT, "1 disabled +1"),
        ("fd00::3:2:3", "fd00::3:2:2", REDIRECT, "2 disabled +1"),
    ] {
        let inner = Inner::udp(address(from), address(to), 32);
        // An enabled sender gets an ICMP error.
        let ((found, out), moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!((found, &moved[..]), (verdict, &[expected.to_owned()][..]), "{from} → {to}");
        assert!(verdict == SHOT || out.ends_with(inner.bytes()), "{from} → {to}");
    }
}

#[test]
fn neither_the_host_nor_a_network_beyond_it_reaches_it() {
    if !possible("disabled::host") {
        return;
    }
    let mut programs = ProgramRun::new(without_the_first());
    for (from, to) in [("10.3.2.1", "10.3.2.2"), ("fd00::3:2:1", "fd00::3:2:2")] {
        let inner = Inner::udp(address(from), address(to), 32);
        for interface in [0, ELSEWHERE] {
            let (run, moved) = programs.moved(|p| p.egress(&inner, interface).0);
            assert_eq!((run, moved), (SHOT, vec!["0 disabled +1".to_owned()]), "{from} → {to}");
        }
    }
}
