//! For each reason, a packet that moves its counter and no other.

use relay_common::{Reason, icmp::Answer};
use relay_tests::{
    inner::Inner,
    program_run::{REDIRECT, SHOT, address},
};

use crate::four_peers;

/// A packet that is dropped for this reason, and the slot that counts it. Others test `forwarded_in`
/// and `own_tunnel` (egress), `not_routed` (forwarding by the stack), `disabled`, and the reasons of
/// rules, limits and a mesh; no packet from outside causes `inconsistent`.
fn dropped_for(reason: Reason) -> Option<(u32, Inner)> {
    let udp = |from, to| Inner::udp(address(from), address(to), 32);
    let allowed = udp("10.3.2.2", "10.3.2.3");
    let allowed_v6 = udp("fd00::3:2:2", "fd00::3:2:3");
    Some(match reason {
        Reason::NotInEitherList => (3, udp("10.3.2.4", "10.3.2.5")),
        Reason::NotInSourceList => (1, udp("10.3.2.2", "10.3.2.4")),
        Reason::NotInDestinationList => (3, udp("10.3.2.4", "10.3.2.2")),
        Reason::DestinationUnknown => (1, udp("10.3.2.2", "10.3.2.99")),
        Reason::SourceUnknown => (0, udp("10.3.2.99", "10.3.2.2")),
        Reason::HostAccess => (1, udp("10.3.2.2", "10.3.2.1")),
        Reason::ForwardedIn | Reason::Inconsistent | Reason::NotRouted | Reason::OwnTunnel => {
            return None;
        }
        Reason::NoRule
        | Reason::RuleEnded
        | Reason::FlowLimit
        | Reason::NoFirstFragment
        | Reason::BadFragment
        | Reason::UnrelatedError
        | Reason::Disabled
        | Reason::Rate
        | Reason::Quota
        | Reason::WrongHome
        | Reason::NotHere => return None,
        Reason::Hairpin => (2, udp("10.3.2.3", "192.168.7.1")),
        Reason::TtlExceeded => (1, allowed.with_ttl(1)),
        Reason::TooBig => {
            let big = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 1400);
            (1, big.with_dont_fragment())
        }
        Reason::MalformedHeader => (0, allowed.with_byte(3, 61).sealed()),
        Reason::BadChecksum => (0, allowed.with_byte(10, 0xff)),
        Reason::IpOptions => (0, allowed.with_options([0x94, 4, 0, 0])),
        Reason::SourceRouting => (0, allowed_v6.with_byte(6, 43)),
        Reason::Multicast => (1, udp("10.3.2.2", "224.0.0.251")),
        Reason::Broadcast => (1, udp("10.3.2.2", "10.3.2.255")),
        Reason::LinkLocal => (1, udp("fd00::3:2:2", "fe80::1")),
        Reason::ReservedAddress => (1, udp("10.3.2.2", "127.0.0.1")),
    })
}

#[test]
fn every_reason_moves_its_own_counter_and_nothing_else() {
    let Some(mut programs) = four_peers("drops::every_reason") else { return };
    for &reason in Reason::ALL {
        let Some((slot, inner)) = dropped_for(reason) else { continue };
        let ((verdict, out), moved) = programs.moved(|p| p.ingress(&inner));
        match Answer::to(reason) {
            None => assert_eq!(verdict, SHOT, "{reason:?}"),
            Some(_) => assert_back_to_sender(verdict, &inner, &out),
        }
        assert_eq!(moved, [format!("{slot} {} +1", reason.label())], "{reason:?}");
    }
}

/// Only an ICMP error to the sender may leave, never the packet itself.
fn assert_back_to_sender(verdict: u32, inner: &Inner, out: &[u8]) {
    assert_eq!(verdict, REDIRECT);
    let (source, destination) = if out[0] >> 4 == 4 { (12..16, 16..20) } else { (8..24, 24..40) };
    assert_eq!(out[destination], inner.bytes()[source], "to the sender");
    assert!(out.ends_with(&inner.bytes()[..inner.bytes().len().min(128)]), "quotes the packet");
}

#[test]
fn both_families_are_dropped_alike() {
    let Some(mut programs) = four_peers("drops::both_families") else { return };
    for (from, to, expected) in [
        ("fd00::3:2:4", "fd00::3:2:5", "3 not_in_either_list +1"),
        ("fd00::3:2:2", "fd00::3:2:4", "1 not_in_source_list +1"),
        ("fd00::3:2:4", "fd00::3:2:2", "3 not_in_destination_list +1"),
        ("fd00::3:2:2", "fd00::3:2:99", "1 destination_unknown +1"),
        ("fd00::3:2:99", "fd00::3:2:2", "0 source_unknown +1"),
        ("fd00::3:2:2", "fd00::3:2:1", "1 host_access +1"),
        ("fd00::3:2:2", "ff02::1", "1 multicast +1"),
        ("fd00::3:2:2", "::1", "1 reserved_address +1"),
        ("fd00::3:2:2", "::ffff:10.3.2.3", "1 reserved_address +1"),
        ("fe80::1", "fd00::3:2:2", "0 link_local +1"),
    ] {
        let inner = Inner::udp(address(from), address(to), 32);
        let ((verdict, out), moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!(moved, [expected], "{from} → {to}");
        if verdict != SHOT {
            assert_back_to_sender(verdict, &inner, &out);
        }
    }
}

#[test]
fn malformed_headers_are_dropped_before_any_look_up() {
    let Some(mut programs) = four_peers("drops::malformed") else { return };
    let v4 = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 32);
    let v6 = Inner::udp(address("fd00::3:2:2"), address("fd00::3:2:3"), 32);
    for (inner, expected) in [
        (v4.clone().with_byte(0, 0x44), "malformed_header"),
        (v4.clone().with_byte(0, 0x55), "malformed_header"),
        (v4.clone().with_byte(0, 0x00), "malformed_header"),
        (v4.clone().with_byte(0, 0x4f), "ip_options"),
        (v4.clone().with_byte(2, 0xff).sealed(), "malformed_header"),
        (v4.clone().with_byte(3, 10).sealed(), "malformed_header"),
        (v4.with_byte(8, 0), "bad_checksum"),
        (v6.clone().with_byte(0, 0x45), "malformed_header"),
        (v6.clone().with_byte(4, 1), "malformed_header"),
        (v6.clone().with_byte(5, 0), "malformed_header"),
        (v6.with_byte(6, 0), "ip_options"),
    ] {
        let ((verdict, _), moved) = programs.moved(|p| p.ingress(&inner));
        assert_eq!((verdict, moved), (SHOT, vec![format!("0 {expected} +1")]), "{inner:?}");
    }
}

#[test]
fn extension_headers_are_followed_to_the_payload() {
    const OPTIONS: u8 = 60;
    let Some(mut programs) = four_peers("drops::extensions") else { return };
    // `more` options headers of 8 bytes, one with `next`, then UDP.
    let chain = |next: u8, more: usize| {
        let mut bytes = [OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(more);
        bytes.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        bytes.extend([4, 0, 0, 7, 0, 8, 0, 0]);
        Inner::new(address("fd00::3:2:2"), address("fd00::3:2:3"), OPTIONS, &bytes)
    };
    let fragment = |offset: u8, next: u8| {
        let bytes = [next, 0, 0, offset, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        Inner::new(address("fd00::3:2:2"), address("fd00::3:2:3"), 44, &bytes)
    };
    for (inner, dropped) in [
        (chain(17, 0), None),
        (chain(17, 5), None),
        (chain(17, 6), Some("ip_options")),
        (chain(0, 2), Some("ip_options")),
        (chain(43, 2), Some("source_routing")),
        (fragment(1, 17), None),
        (fragment(1, 43), Some("source_routing")),
        // A later fragment holds no header.
        (fragment(8, 43), None),
        (chain(60, 0).with_byte(48, 60).with_byte(49, 200), Some("malformed_header")),
    ] {
        let ((verdict, _), moved) = programs.moved(|p| p.ingress(&inner));
        match dropped {
            None => assert_eq!((verdict, moved.len()), (REDIRECT, 4), "{inner:?}: {moved:?}"),
            Some(reason) => {
                assert_eq!((verdict, moved), (SHOT, vec![format!("0 {reason} +1")]), "{inner:?}");
            }
        }
    }
}

#[test]
fn a_packet_shorter_than_its_header_is_dropped() {
    let Some(mut programs) = four_peers("drops::short") else { return };
    let v6 = Inner::new(address("fd00::3:2:2"), address("fd00::3:2:3"), 59, &[]);
    assert_eq!(v6.bytes().len(), 40);
    let (_, moved) = programs.moved(|p| p.ingress(&v6.clone().with_byte(7, 1)));
    assert_eq!(moved, ["1 ttl_exceeded +1"]);
    let short = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 59, &[]).with_byte(0, 0x60);
    let ((verdict, _), moved) = programs.moved(|p| p.ingress(&short));
    assert_eq!((verdict, moved), (SHOT, vec!["0 malformed_header +1".to_owned()]));
}

#[test]
fn packets_forwarded_from_another_interface_are_dropped() {
    let Some(mut programs) = four_peers("drops::forwarded_in") else { return };
    for (from, to) in [("198.51.100.9", "10.3.2.2"), ("2001:db8::9", "fd00::3:2:2")] {
        let inner = Inner::udp(address(from), address(to), 32);
        let ((verdict, _), moved) = programs.moved(|p| p.egress(&inner, 7));
        assert_eq!((verdict, moved), (SHOT, vec!["0 forwarded_in +1".to_owned()]));
    }
}

#[test]
fn a_packet_with_two_hops_left_is_the_last_that_passes() {
    let Some(mut programs) = four_peers("drops::ttl") else { return };
    for (from, to) in [("10.3.2.2", "10.3.2.3"), ("fd00::3:2:2", "fd00::3:2:3")] {
        let inner = Inner::udp(address(from), address(to), 32);
        let ((_, out), moved) = programs.moved(|p| p.ingress(&inner.clone().with_ttl(2)));
        assert_eq!((out.as_slice(), moved.len()), (inner.clone().with_ttl(1).bytes(), 4));
        for ttl in [0, 1] {
            let (_, moved) = programs.moved(|p| p.ingress(&inner.clone().with_ttl(ttl)));
            assert_eq!(moved, ["1 ttl_exceeded +1"], "{ttl}");
        }
    }
}
