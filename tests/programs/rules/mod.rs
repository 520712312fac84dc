//! Rules: who may begin what with whom, and answers in the flows that they began.

mod answers;
mod errors;
mod fragments;
mod histories;
mod inherited;
mod limited;
mod limits;
mod openings;
mod order;
mod paths;
mod reloads;

use std::net::IpAddr;

use relay::model::{Relay, Rule, Selector, Services, Transport};
use relay_common::{Reason, flow::tcp};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, REDIRECT, SHOT, address, peer, relay},
};

use crate::possible;

/// Peers 1, 3 and 4 may begin ssh, DNS and ping with peer 2, and nothing else. Slots are these
/// numbers.
pub(crate) fn one_way() -> Relay {
    let services = vec![
        Services::Ports { transport: Transport::Tcp, first: 22, last: 22 },
        Services::Ports { transport: Transport::Udp, first: 53, last: 53 },
        Services::Echo,
    ];
    let rule = Rule {
        from: vec![Selector::Peer(0), Selector::Peer(2), Selector::Peer(3)],
        to: vec![Selector::Peer(1)],
        services,
        ..Rule::new("admin".parse().expect("a name"))
    };
    let peers = vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &[]),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], &[]),
        peer(3, &["10.3.2.4", "fd00::3:2:4"], &[], &[]),
        peer(4, &["10.3.2.5", "fd00::3:2:5"], &[], &[]),
    ];
    Relay { rules: vec![rule], ..relay(peers) }
}

fn one_way_programs(test: &str) -> Option<ProgramRun> {
    possible(test).then(|| ProgramRun::new(one_way()))
}

/// Addresses of peers 1 and 2, in each family.
pub(crate) fn families() -> [[IpAddr; 2]; 2] {
    [ends_of(1, true), ends_of(1, false)]
}

/// Addresses of a peer, and of peer 2.
fn ends_of(number: u32, is_v4: bool) -> [IpAddr; 2] {
    let prefix = if is_v4 { "10.3.2." } else { "fd00::3:2:" };
    [number + 1, 3].map(|host| address(&format!("{prefix}{host}")))
}

pub(crate) fn back([from, to]: [IpAddr; 2]) -> [IpAddr; 2] {
    [to, from]
}

/// Begins ssh from this port, and has it answered.
fn connect(programs: &mut ProgramRun, ends: [IpAddr; 2], port: u16) {
    let [from, to] = [slot_of(ends[0]), slot_of(ends[1])];
    let syn = Inner::segment(ends, [port, 22], tcp::SYN);
    passes(programs, &syn, from, to);
    let answer = Inner::segment(back(ends), [22, port], tcp::SYN | tcp::ACK);
    passes(programs, &answer, to, from);
}

/// Slot of the peer with this address.
fn slot_of(address: IpAddr) -> usize {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    usize::from(last) - 1
}

/// The packet is relayed, and counted as one.
#[track_caller]
fn passes(programs: &mut ProgramRun, inner: &Inner, from: usize, to: usize) {
    let ((verdict, out), moved) = programs.moved(|programs| programs.ingress(inner));
    let len = inner.bytes().len();
    let received = [format!("{from} rx_packets +1"), format!("{from} rx_bytes +{len}")];
    let sent = [format!("{to} tx_packets +1"), format!("{to} tx_bytes +{len}")];
    let expected = if from < to { [received, sent] } else { [sent, received] }.concat();
    assert_eq!((verdict, moved), (REDIRECT, expected), "{inner:?}");
    assert_eq!(out, inner.clone().with_ttl(63).bytes());
}

/// The packet is dropped, which moves this counter of its sender alone.
#[track_caller]
fn drops(programs: &mut ProgramRun, inner: &Inner, slot: usize, reason: Reason) {
    let ((verdict, _), moved) = programs.moved(|programs| programs.ingress(inner));
    assert_eq!(moved, [format!("{slot} {} +1", reason.label())], "{inner:?}");
    assert_ne!(verdict, OK, "{inner:?}");
}

/// The fragment waits for the first one of its datagram, which moves no counter.
#[track_caller]
fn waits(programs: &mut ProgramRun, inner: &Inner) {
    let ((verdict, _), moved) = programs.moved(|programs| programs.ingress(inner));
    assert_eq!((verdict, moved), (SHOT, Vec::new()), "{inner:?}");
}
