//! Packets from the host and from other interfaces to peers, and copies of the program.

use relay::datapath::{Direction, Packet};
use relay_common::names::{ANSWER, PASSED};
use relay_tests::{
    inner::Inner,
    program_run::{OK, SHOT, address},
};

use crate::four_peers;

/// WireGuard's port in the lab's policy.
const PORT: u16 = 51820;
/// An interface other than that of test runs.
const ELSEWHERE: u32 = 7;

#[test]
fn messages_of_the_hosts_wireguard_never_enter_the_tunnel() {
    let Some(mut programs) = four_peers("egress::own_tunnel") else { return };
    for (from, to) in [("10.3.2.1", "10.3.2.4"), ("fd00::3:2:1", "fd00::3:2:4")] {
        let (from, to) = (address(from), address(to));
        let message = Inner::new(from, to, 17, &udp(PORT));
        let (run, moved) = programs.moved(|p| p.egress(&message, 0).0);
        assert_eq!((run, moved), (SHOT, vec!["0 own_tunnel +1".to_owned()]), "{from} → {to}");
        // Other ports, other protocols, and packets of another WireGuard.
        for (inner, interface) in [
            (Inner::new(from, to, 17, &udp(PORT + 1)), 0),
            (Inner::new(from, to, 6, &udp(PORT)), 0),
            (message.clone(), 1),
        ] {
            assert_eq!(programs.egress(&inner, interface).0, OK, "{from} → {to} {interface}");
        }
        let (run, moved) = programs.moved(|p| p.egress(&message, ELSEWHERE).0);
        assert_eq!((run, moved), (SHOT, vec!["0 forwarded_in +1".to_owned()]));
    }
    // Behind extension headers, and as a first fragment.
    let (from, to) = (address("fd00::3:2:1"), address("fd00::3:2:4"));
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(PORT)].concat();
    let fragment = |offset: u8| [&[17, 0, 0, offset | 1, 0, 0, 0, 1][..], &udp(PORT)].concat();
    for (protocol, bytes, expected) in
        [(60, options, SHOT), (44, fragment(0), SHOT), (44, fragment(8), OK)]
    {
        assert_eq!(programs.egress(&Inner::new(from, to, protocol, &bytes), 0).0, expected);
    }
}

#[test]
fn answers_of_published_ports_come_in_by_the_fences_mark_alone() {
    let Some(mut programs) = four_peers("egress::answers") else { return };
    let answer = Inner::new(address("10.3.2.1"), address("10.3.2.4"), 17, &udp(PORT));
    let mut run = |mark| {
        let packet = Packet {
            bytes: answer.bytes(),
            ingress_interface: ELSEWHERE,
            mark,
            ..Packet::default()
        };
        programs.moved(|p| p.loaded().run(Direction::Egress, &packet).expect("it runs").verdict)
    };
    for mark in [0, PASSED, ANSWER & !PASSED, 0x4000] {
        assert_eq!(run(mark), (SHOT, vec!["0 forwarded_in +1".to_owned()]), "{mark:#x}");
    }
    for mark in [ANSWER, u32::MAX] {
        let counted = vec!["3 host_tx_packets +1".to_owned(), "3 host_tx_bytes +60".to_owned()];
        assert_eq!(run(mark), (OK, counted), "{mark:#x}");
    }
}

#[test]
fn a_second_copy_passes_what_the_first_passed() {
    let Some(mut programs) = four_peers("egress::copy") else { return };
    let dropped = Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 32);
    for (mark, expected) in [(PASSED, OK), (PASSED | 1, OK), (0x1000, SHOT)] {
        let packet = Packet { bytes: dropped.bytes(), mark, ..Packet::default() };
        let run = programs.loaded().run(Direction::Ingress, &packet).expect("it runs");
        assert_eq!(run.verdict == OK, expected == OK, "{mark:#x}");
    }
}

/// A UDP header with this source port, and 32 bytes of payload.
fn udp(from: u16) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..2].copy_from_slice(&from.to_be_bytes());
    bytes[2..4].copy_from_slice(&40_010_u16.to_be_bytes());
    bytes[5] = 40;
    bytes
}
