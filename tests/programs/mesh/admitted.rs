//! What another relay may send.

use relay::datapath::{Direction, Packet};
use relay_common::mesh::Home;
use relay_tests::{
    inner::Inner,
    program_run::{Other, ProgramRun, REDIRECT, address},
};

use super::{OWN, PAIRS, answers, drops, relays, settle, site, udp};

/// Peer 1 is at home at the first other relay, 3 at the second, 2 here, and 4 unknown.
fn spread(test: &str) -> Option<(ProgramRun, [Other; 2])> {
    let mut programs = site(test)?;
    let others = [programs.other(0), programs.other(1)];
    settle(&mut programs, &[1], Some(others[0]));
    settle(&mut programs, &[3], Some(others[1]));
    settle(&mut programs, &[2], None);
    Some((programs, others))
}

#[test]
fn a_packet_of_a_peer_at_home_there_is_relayed_and_counts_for_that_relay() {
    let Some((mut programs, [first, _])) = spread("mesh::admitted") else { return };
    for [from, to] in PAIRS {
        relays(&mut programs, &udp(from, to), Some(first), OWN, [first.slot, 2]);
    }
    let [_, [from, to]] = PAIRS;
    let options = udp(from, to).with_destination_options();
    for inner in [udp("10.3.2.2", "192.168.7.9"), options] {
        relays(&mut programs, &inner, Some(first), OWN, [first.slot, 2]);
    }
    programs.loaded().set_home(2, Home::UNKNOWN).expect("the homes");
    relays(&mut programs, &udp(from, to), Some(first), OWN, [first.slot, 2]);
}

#[test]
fn a_source_that_is_not_at_home_there_is_dropped() {
    let Some((mut programs, [first, second])) = spread("mesh::wrong_home") else { return };
    let options = |from, to| udp(from, to).with_destination_options();
    for (inner, from, counter) in [
        (udp("10.3.2.2", "10.3.2.3"), second, "1 wrong_home"),
        (udp("fd00::3:2:2", "fd00::3:2:3"), second, "1 wrong_home"),
        (options("fd00::3:2:2", "fd00::3:2:3"), second, "1 wrong_home"),
        (udp("10.3.2.4", "10.3.2.3"), first, "3 wrong_home"),
        // At home here, and unknown.
        (udp("10.3.2.3", "10.3.2.2"), first, "2 wrong_home"),
        (udp("192.168.7.9", "10.3.2.2"), first, "2 wrong_home"),
        (udp("10.3.2.5", "10.3.2.3"), first, "4 wrong_home"),
        // No peer.
        (udp("10.3.2.99", "10.3.2.3"), first, "0 wrong_home"),
        (udp("198.51.100.1", "10.3.2.3"), first, "0 wrong_home"),
        (udp("10.3.2.1", "10.3.2.3"), first, "0 wrong_home"),
        (udp("fd00::3:2:1", "fd00::3:2:3"), first, "0 wrong_home"),
        (udp("fd12:3456:789a::2", "fd12:3456:789a::1"), first, "0 wrong_home"),
        (udp("224.0.0.251", "10.3.2.3"), first, "0 wrong_home"),
        (udp("127.0.0.1", "10.3.2.3"), first, "0 wrong_home"),
        (udp("fe80::1", "fd00::3:2:3"), first, "0 wrong_home"),
    ] {
        drops(&mut programs, &inner, Some(from), counter);
    }
}

#[test]
fn a_destination_that_is_not_at_home_here_is_dropped() {
    let Some((mut programs, [first, second])) = spread("mesh::not_here") else { return };
    let echo = Inner::echo([address("10.3.2.2"), address("10.3.2.1")], true, 7);
    for inner in [
        // Neither onwards nor back.
        udp("10.3.2.2", "10.3.2.4"),
        udp("10.3.2.2", "10.3.2.2"),
        udp("fd00::3:2:2", "fd00::3:2:4"),
        // Neither the host nor beyond the overlay.
        udp("10.3.2.2", "10.3.2.1"),
        udp("fd00::3:2:2", "fd00::3:2:1"),
        echo,
        udp("10.3.2.2", "10.3.2.99"),
        udp("10.3.2.2", "198.51.100.1"),
        udp("10.3.2.2", "10.3.2.255"),
        udp("10.3.2.2", "224.0.0.251"),
        udp("fd00::3:2:2", "fe80::1"),
        udp("10.3.2.2", "127.0.0.1"),
    ] {
        drops(&mut programs, &inner, Some(first), "1 not_here");
    }
    settle(&mut programs, &[2], Some(second));
    for [from, to] in PAIRS {
        drops(&mut programs, &udp(from, to), Some(first), "1 not_here");
    }
    settle(&mut programs, &[2], Some(first));
    drops(&mut programs, &udp("10.3.2.2", "10.3.2.3"), Some(first), "1 not_here");
}

#[test]
fn the_policy_decides_again_and_errors_go_back_through_the_tunnel() {
    let Some((mut programs, [first, second])) = spread("mesh::again") else { return };
    for (inner, from, counter) in [
        (udp("10.3.2.2", "10.3.2.5"), first, "1 not_in_destination_list"),
        (udp("10.3.2.4", "10.3.2.3"), second, "3 not_in_destination_list"),
        (udp("fd00::3:2:4", "fd00::3:2:3"), second, "3 not_in_either_list"),
        (udp("10.3.2.2", "10.3.2.3").with_ttl(1), first, "1 ttl_exceeded"),
        (udp("fd00::3:2:2", "fd00::3:2:3").with_ttl(1), first, "1 ttl_exceeded"),
        (Inner::udp(address("fd00::3:2:2"), address("fd00::3:2:3"), 1400), first, "1 too_big"),
    ] {
        answers(&mut programs, &inner, Some(from), from.interface, counter);
    }
    let big = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 1400).with_dont_fragment();
    let run = programs.arrive(&big, Some(first));
    let mtu = u16::from_be_bytes([run.packet[26], run.packet[27]]);
    assert_eq!((run.verdict, run.way, mtu), (REDIRECT, first.interface, 1420));
}

#[test]
fn malformed_packets_are_dropped_first() {
    let Some((mut programs, [first, _])) = spread("mesh::malformed") else { return };
    let v4 = udp("10.3.2.2", "10.3.2.3");
    let v6 = udp("fd00::3:2:2", "fd00::3:2:3");
    for (inner, counter) in [
        (v4.clone().with_byte(3, 61).sealed(), "0 malformed_header"),
        (v4.clone().with_byte(10, 0xff), "0 bad_checksum"),
        (v4.clone().with_byte(0, 0x00), "0 malformed_header"),
        (v4.with_options([0x94, 4, 0, 0]), "0 ip_options"),
        (v6.with_byte(6, 43), "0 source_routing"),
    ] {
        drops(&mut programs, &inner, Some(first), counter);
    }
}

#[test]
fn an_icmp_error_of_another_relay_reaches_a_peer_at_home_here() {
    let Some((mut programs, [first, _])) = spread("mesh::error") else { return };
    for (relay, [other, peer], time_exceeded) in
        [("10.3.2.1", PAIRS[0], 11), ("fd00::3:2:1", PAIRS[1], 3)]
    {
        let quoted = udp(peer, other);
        let error = Inner::error([relay, peer].map(address), time_exceeded, quoted.bytes());
        let (run, moved) = programs.moved(|programs| programs.arrive(&error, Some(first)));
        assert_eq!((run.verdict, run.way, run.mark), (REDIRECT, OWN, 0));
        assert_eq!(run.packet, error.clone().with_ttl(63).bytes());
        let len = error.bytes().len();
        assert_eq!(moved, ["2 host_tx_packets +1".to_owned(), format!("2 host_tx_bytes +{len}")]);
        // Whose peer is at home elsewhere, or who may go no further, or what is no error.
        let elsewhere = Inner::error([relay, other].map(address), time_exceeded, quoted.bytes());
        let echo = Inner::echo([relay, peer].map(address), true, 7);
        let echo = Inner::new(
            address(relay),
            address(peer),
            if relay.contains(':') { 58 } else { 1 },
            &echo.bytes()[echo.bytes().len() - 14..].repeat(3),
        );
        for inner in [elsewhere, error.with_ttl(1), echo] {
            drops(&mut programs, &inner, Some(first), "0 wrong_home");
        }
    }
}

#[test]
fn a_mark_of_another_program_does_not_make_a_peer_a_relay() {
    let Some((mut programs, _)) = spread("mesh::mark") else { return };
    settle(&mut programs, &[1], None);
    for mark in [7, 0x0f00, 0x0d00_000b, 0x6d00_000b & 0x00ff_ffff] {
        let inner = udp("10.3.2.2", "10.3.2.3");
        let packet =
            Packet { bytes: inner.bytes(), ingress_interface: 1, mark, ..Packet::default() };
        let run = programs.loaded().run(Direction::Ingress, &packet).expect("it runs");
        assert_eq!((run.verdict, run.way, run.mark), (REDIRECT, OWN, mark), "{mark:#x}");
    }
}
