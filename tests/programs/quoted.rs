//! ICMP errors to the host: what they say of the way to somebody, the kernel believes.

use std::net::IpAddr;

use relay::model::{HostAccess, Relay};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, address},
};

use crate::{four, host::Host, possible, routing::on};

/// A packet of the host, its receiver's own address, and one behind the receiver, of each family.
struct Ends {
    host: IpAddr,
    /// An address of the host outside the overlay.
    outside: IpAddr,
    /// Of peer 2, who sends the errors.
    peer: IpAddr,
    other: IpAddr,
    /// "Fragmentation needed", "packet too big".
    too_big: u8,
}

fn families() -> [Ends; 2] {
    [
        ["10.3.2.1", "203.0.113.5", "10.3.2.3", "10.3.2.2"],
        ["fd00::3:2:1", "2001:db8::5", "fd00::3:2:3", "fd00::3:2:2"],
    ]
    .map(|ends| {
        let [host, outside, peer, other] = ends.map(address);
        Ends { host, outside, peer, other, too_big: if host.is_ipv4() { 3 } else { 2 } }
    })
}

#[test]
fn one_that_quotes_a_packet_of_the_host_to_its_sender_passes() {
    with_every_access("quoted::genuine", |programs| {
        for Ends { host, outside, peer, too_big, .. } in families() {
            for from in [host, outside] {
                for quoted in [
                    Inner::udp(from, peer, 1_400),
                    Inner::echo([from, peer], true, 7),
                    Inner::segment([from, peer], [22, 40_000], 0),
                    Inner::udp(from, peer, 1_400).fragment(0..512, 7),
                    Inner::udp(from, peer, 1_400).fragment(512..1_024, 7),
                ] {
                    // The header is enough (RFC 792), and addresses behind a peer are the peer's.
                    let header = if peer.is_ipv4() { 28 } else { 48 };
                    for bytes in [quoted.bytes(), &quoted.bytes()[..header]] {
                        passes(programs, &Inner::error([peer, from], too_big, bytes));
                    }
                }
            }
        }
        let behind = Inner::udp(address("10.3.2.1"), address("192.168.7.9"), 1_400);
        let ends = ["10.3.2.3", "10.3.2.1"].map(address);
        passes(programs, &Inner::error(ends, 3, behind.bytes()));
        let ends = ["192.168.7.1", "10.3.2.1"].map(address);
        passes(programs, &Inner::error(ends, 11, behind.bytes()));
    });
}

#[test]
fn one_that_quotes_any_other_packet_is_dropped() {
    with_every_access("quoted::forged", |programs| {
        for Ends { host, outside, peer, other, too_big } in families() {
            let somebody = address(if host.is_ipv4() { "198.51.100.7" } else { "2001:db8:9::7" });
            let header = if host.is_ipv4() { 20 } else { 40 };
            let genuine = Inner::udp(host, peer, 1_400);
            let quoted = [
                ("to another peer", Inner::udp(host, other, 1_400).bytes().to_vec()),
                ("to somebody on the internet", Inner::udp(host, somebody, 40).bytes().to_vec()),
                (
                    "from another address of the host",
                    Inner::udp(outside, peer, 40).bytes().to_vec(),
                ),
                ("of the sender's own", Inner::udp(peer, host, 40).bytes().to_vec()),
                ("of another peer", Inner::udp(other, peer, 40).bytes().to_vec()),
                ("without its last byte", genuine.bytes()[..header - 1].to_vec()),
                ("that is none", vec![0; 64]),
                ("of no length", Vec::new()),
            ];
            for (what, quoted) in quoted {
                let inner = Inner::error([peer, host], too_big, &quoted);
                let ((verdict, _), moved) = programs.moved(|programs| programs.ingress(&inner));
                assert_eq!(moved, ["2 unrelated_error +1"], "a packet {what}: {inner:?}");
                assert_ne!(verdict, OK);
            }
            let mut of_other_family = families().into_iter().map(|ends| (ends.host, ends.peer));
            let strange = of_other_family.find(|ends| ends.0.is_ipv4() != host.is_ipv4());
            let (from, to) = strange.expect("two families");
            let inner = Inner::error([peer, host], too_big, Inner::udp(from, to, 40).bytes());
            let (_, moved) = programs.moved(|programs| programs.ingress(&inner));
            assert_eq!(moved, ["2 unrelated_error +1"]);
        }
    });
}

/// Runs `work` with each setting that lets errors reach the host.
fn with_every_access(test: &str, work: fn(&mut ProgramRun)) {
    if !possible(test) {
        return;
    }
    let host = Host::create(true).expect("a namespace");
    for host_access in [HostAccess::None, HostAccess::Ping, HostAccess::All] {
        on(&host, Relay { host_access, ..four() }, work);
    }
}

#[track_caller]
fn passes(programs: &mut ProgramRun, inner: &Inner) {
    let ((verdict, out), moved) = programs.moved(|programs| programs.ingress(inner));
    let len = inner.bytes().len();
    let counted = ["2 host_rx_packets +1".to_owned(), format!("2 host_rx_bytes +{len}")];
    assert_eq!((verdict, moved), (OK, counted.to_vec()), "{inner:?}");
    assert_eq!(out, inner.bytes());
}
