//! Relayed packets: what comes out, and what is counted.

use relay_tests::{
    inner::Inner,
    program_run::{OK, REDIRECT, address},
};

use crate::four_peers;

#[test]
fn packets_between_peers_that_list_each_other_lose_one_hop_and_are_counted_on_both() {
    let Some(mut programs) = four_peers("relayed::pair") else { return };
    for (from, to, len, slots) in [
        ("10.3.2.2", "10.3.2.3", 84, [1, 2]),
        ("fd00::3:2:3", "fd00::3:2:2", 84, [2, 1]),
        // A network behind a peer belongs to the peer.
        ("10.3.2.2", "192.168.7.9", 28, [1, 2]),
    ] {
        let headers = if from.contains(':') { 48 } else { 28 };
        let inner = Inner::udp(address(from), address(to), len - headers);
        let ((verdict, out), mut moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!((verdict, out.as_slice()), (REDIRECT, inner.with_ttl(63).bytes()), "{to}");
        let [source, destination] = slots;
        let mut expected = [
            format!("{source} rx_packets +1"),
            format!("{source} rx_bytes +{len}"),
            format!("{destination} tx_packets +1"),
            format!("{destination} tx_bytes +{len}"),
        ];
        moved.sort();
        expected.sort();
        assert_eq!(moved, expected, "{to}");
    }
}

#[test]
fn an_aggregate_counts_as_the_packets_it_was_made_of() {
    let Some(mut programs) = four_peers("relayed::aggregate") else { return };
    // TCP with 12 bytes of options: 20 + 32 bytes of headers and 3000 of payload, which are two
    // segments of 1300 and one of 400.
    let mut tcp = vec![0; 32 + 3000];
    tcp[12] = 0x80;
    let inner = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 6, &tcp);
    let ((verdict, _), moved) = programs.moved(|p| p.ingress_aggregate(&inner, (3, 1300)));
    assert_eq!(verdict, REDIRECT);
    let bytes = 3 * 52 + 3000;
    assert_eq!(
        moved,
        [
            "1 rx_packets +3".to_owned(),
            format!("1 rx_bytes +{bytes}"),
            "2 tx_packets +3".to_owned(),
            format!("2 tx_bytes +{bytes}"),
        ]
    );
}

#[test]
fn fragments_pass_because_the_policy_looks_only_at_addresses() {
    let Some(mut programs) = four_peers("relayed::fragments") else { return };
    let whole = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 64);
    for (offset, flags) in [(6, 0x20), (7, 0x08)] {
        let fragment = whole.clone().with_byte(offset, flags).sealed();
        assert_eq!(programs.ingress(&fragment).0, REDIRECT);
    }
}

#[test]
fn an_echo_request_to_the_relay_goes_up_the_stack_and_is_counted_there() {
    let Some(mut programs) = four_peers("relayed::to_host") else { return };
    let echo = Inner::new(address("10.3.2.4"), address("10.3.2.1"), 1, &[8, 0, 0, 0, 0, 0, 0, 0]);
    let ((verdict, out), moved) = programs.moved(|p| p.ingress(&echo));
    assert_eq!((verdict, out.as_slice()), (OK, echo.bytes()));
    assert_eq!(moved, ["3 host_rx_packets +1", "3 host_rx_bytes +28"]);
}

#[test]
fn packets_from_the_host_are_counted_on_the_peer() {
    let Some(mut programs) = four_peers("relayed::from_host") else { return };
    let inner = Inner::udp(address("10.3.2.1"), address("10.3.2.4"), 10);
    let ((verdict, _), moved) = programs.moved(|p| p.egress(&inner, 0));
    assert_eq!(verdict, OK);
    assert_eq!(moved, ["3 host_tx_packets +1", "3 host_tx_bytes +38"]);
}

#[test]
fn relayed_packets_are_not_counted_again_on_egress() {
    let Some(mut programs) = four_peers("relayed::once") else { return };
    let inner = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 10);
    // Test runs use the loopback interface, with index 1.
    let ((verdict, _), moved) = programs.moved(|p| p.egress(&inner, 1));
    assert_eq!((verdict, moved), (OK, vec![]));
}
