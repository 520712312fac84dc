//! The relay's own ICMP errors: content, source, and when there is none.

use relay_common::icmp::BURST;
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, SHOT, address, peer, relay},
};

use crate::{four_peers, possible};

/// A parsed ICMP or ICMPv6 error.
#[derive(Debug, PartialEq, Eq)]
struct Error {
    source: Vec<u8>,
    type_code: [u8; 2],
    mtu: u32,
    quote: Vec<u8>,
}

/// Parses an error, and checks lengths and checksums.
fn error(packet: &[u8]) -> Error {
    let v4 = packet[0] >> 4 == 4;
    let (header, source, destination) = if v4 { (20, 12..16, 16..20) } else { (40, 8..24, 24..40) };
    let icmp = &packet[header..];
    let len = if v4 {
        assert_eq!((packet[0], packet[9], sum(&packet[..20])), (0x45, 1, 0xffff));
        usize::from(u16::from_be_bytes([packet[2], packet[3]]))
    } else {
        assert_eq!(packet[6], 58);
        40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))
    };
    assert_eq!(len, packet.len());
    let mut summed = icmp.to_vec();
    if !v4 {
        let len = u32::try_from(icmp.len()).expect("short").to_be_bytes();
        summed =
            [&packet[source.clone()], &packet[destination], &len, &[0, 0, 0, 58], icmp].concat();
    }
    assert_eq!(sum(&summed), 0xffff, "ICMP checksum");
    Error {
        source: packet[source].to_vec(),
        type_code: [icmp[0], icmp[1]],
        mtu: u32::from_be_bytes([icmp[4], icmp[5], icmp[6], icmp[7]]),
        quote: icmp[8..].to_vec(),
    }
}

/// Ones' complement sum (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let word = |c: &[u8]| u32::from(c[0]) << 8 | c.get(1).copied().map_or(0, u32::from);
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[test]
fn time_exceeded_comes_from_where_the_packet_was_going_when_the_relay_is_not_listed() {
    let Some(mut programs) = four_peers("errors::time_exceeded") else { return };
    for (from, to, source, type_code) in [
        ("10.3.2.2", "10.3.2.3", vec![10, 3, 2, 3], [11, 0]),
        ("fd00::3:2:2", "fd00::3:2:3", v6("fd00::3:2:3"), [3, 0]),
    ] {
        let inner = Inner::udp(address(from), address(to), 300).with_ttl(1);
        let (verdict, out) = programs.ingress(&inner);
        assert_eq!(verdict, REDIRECT);
        let quote = inner.bytes()[..128].to_vec();
        assert_eq!(error(&out), Error { source, type_code, mtu: 0, quote });
    }
}

#[test]
fn time_exceeded_comes_from_the_relay_when_the_peer_lists_it() {
    if !possible("errors::from_relay") {
        return;
    }
    let lists = ["10.3.2.0/24", "fd00::3:2:0/120"];
    let mut programs = ProgramRun::new(relay(vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &lists),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], &lists),
    ]));
    for (from, to, source) in [
        ("10.3.2.2", "10.3.2.3", vec![10, 3, 2, 1]),
        ("fd00::3:2:2", "fd00::3:2:3", v6("fd00::3:2:1")),
    ] {
        let inner = Inner::udp(address(from), address(to), 9).with_ttl(1);
        let error = error(&programs.ingress(&inner).1);
        assert_eq!((error.source, error.quote.as_slice()), (source, inner.bytes()));
    }
}

#[test]
fn too_big_carries_the_mtu() {
    let Some(mut programs) = four_peers("errors::too_big") else { return };
    let v4 = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 1393).with_dont_fragment();
    let error_v4 = error(&programs.ingress(&v4).1);
    assert_eq!((error_v4.type_code, error_v4.mtu), ([3, 4], 1420));
    let v6 = Inner::udp(address("fd00::3:2:2"), address("fd00::3:2:3"), 1373);
    let error_v6 = error(&programs.ingress(&v6).1);
    assert_eq!((error_v6.type_code, error_v6.mtu), ([2, 0], 1420));
}

#[test]
fn the_largest_packet_that_fits_passes_and_so_does_one_that_may_be_fragmented() {
    let Some(mut programs) = four_peers("errors::fits") else { return };
    let fits = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 1392).with_dont_fragment();
    let may = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 1393);
    for inner in [fits, may] {
        let ((_, out), moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!((out.len(), moved.len()), (inner.bytes().len(), 4));
    }
}

#[test]
fn an_aggregate_of_segments_that_fit_passes_and_one_of_larger_segments_does_not() {
    let Some(mut programs) = four_peers("errors::aggregate") else { return };
    let mut tcp = vec![0; 20 + 3000];
    tcp[12] = 0x50;
    let inner = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 6, &tcp).with_dont_fragment();
    let ((verdict, _), _) = programs.moved(|p| p.ingress_aggregate(&inner, (3, 1380)));
    assert_eq!(verdict, REDIRECT);
    let ((verdict, _), moved) = programs.moved(|p| p.ingress_aggregate(&inner, (3, 1381)));
    assert_eq!((verdict, moved), (SHOT, vec!["1 too_big +3".to_owned()]));
}

#[test]
fn an_error_says_the_same_whether_or_not_the_other_exists() {
    let Some(mut programs) = four_peers("errors::prohibited") else { return };
    for (from, to, type_code) in [
        ("10.3.2.4", "10.3.2.5", [3, 13]),
        ("10.3.2.4", "10.3.2.77", [3, 13]),
        ("fd00::3:2:4", "fd00::3:2:5", [1, 1]),
        ("fd00::3:2:4", "fd00::3:2:77", [1, 1]),
    ] {
        let inner = Inner::udp(address(from), address(to), 9);
        assert_eq!(error(&programs.ingress(&inner).1).type_code, type_code, "{to}");
    }
}

#[test]
fn errors_and_later_fragments_are_dropped_without_an_error() {
    let Some(mut programs) = four_peers("errors::none") else { return };
    let v4 = |transport: &[u8]| Inner::new(address("10.3.2.4"), address("10.3.2.5"), 1, transport);
    let v6 = |transport: &[u8]| {
        Inner::new(address("fd00::3:2:4"), address("fd00::3:2:5"), 58, transport)
    };
    for inner in [
        v4(&[3, 1, 0, 0, 0, 0, 0, 0]),
        v4(&[11, 0, 0, 0, 0, 0, 0, 0]),
        v6(&[1, 0, 0, 0, 0, 0, 0, 0]),
        v6(&[2, 0, 0, 0, 0, 0, 0, 0]),
        Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 64).with_byte(7, 8).sealed(),
    ] {
        let ((verdict, _), moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!((verdict, moved), (SHOT, vec!["3 not_in_either_list +1".to_owned()]));
    }
    assert_eq!(programs.ingress(&v4(&[8, 0, 0, 0, 0, 0, 0, 0])).0, REDIRECT);
}

#[test]
fn errors_to_one_peer_are_limited_and_another_peer_has_its_own_limit() {
    let Some(mut programs) = four_peers("errors::rate") else { return };
    let from_3 = Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 9);
    let (answered, moved) =
        programs.moved(|p| (0..100).filter(|_| p.ingress(&from_3).0 == REDIRECT).count());
    // On a busy machine, a hundred runs may take longer than an interval.
    let burst = usize::try_from(BURST).expect("small");
    assert!((burst..2 * burst).contains(&answered), "{answered} of 100");
    assert_eq!(moved, ["3 not_in_either_list +100"]);
    let from_4 = Inner::udp(address("10.3.2.5"), address("10.3.2.4"), 9);
    assert_eq!(programs.ingress(&from_4).0, REDIRECT);
}

fn v6(text: &str) -> Vec<u8> {
    match address(text) {
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
    }
}
