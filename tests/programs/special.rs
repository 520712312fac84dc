//! Networks that nobody can own, as source and as destination, where lists hold everything: one peer
//! is the exit, and the host forwards what nobody owns.

use relay::model::{Egress, Relay};
use relay_common::Reason;
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, SHOT, address, peer, relay},
};

use crate::possible;

/// The first and the last address of each network, and some between.
const SPECIAL: [(Reason, &[&str]); 4] = [
    (
        Reason::ReservedAddress,
        &[
            "0.0.0.0",
            "0.255.255.255",
            "127.0.0.0",
            "127.0.0.1",
            "127.255.255.255",
            "240.0.0.0",
            "255.255.255.254",
            "::",
            "::1",
            "::2",
            "::255.255.255.255",
            "::ffff:0.0.0.0",
            "::ffff:10.3.2.2",
            "::ffff:255.255.255.255",
            "2001::",
            "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "64:ff9b::",
            "64:ff9b::255.255.255.255",
            "64:ff9b:1::",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:100::100:200",
            "fd00:a9fe:a9fe::1",
            "fd00:42::42",
        ],
    ),
    (
        Reason::LinkLocal,
        &[
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "fe80::",
            "fe80::a9fe:a9fe",
            "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ],
    ),
    (
        Reason::Multicast,
        &[
            "224.0.0.0",
            "224.0.0.251",
            "239.255.255.255",
            "ff00::",
            "ff02::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ],
    ),
    (Reason::Broadcast, &["255.255.255.255", "10.3.2.0", "10.3.2.255"]),
];

/// What is next to them.
const ORDINARY: [&str; 24] = [
    "1.0.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "223.255.255.255",
    "100.100.100.199",
    "100.100.100.201",
    "168.63.129.15",
    "168.63.129.17",
    "192.0.0.191",
    "192.0.0.193",
    "::1:0:0",
    "::fffe:ffff:ffff",
    "::1:0:0:0",
    "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:1::",
    "2003::",
    "64:ff9b::1:0:0",
    "64:ff9b:2::",
    "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::",
    "fd00:ec2::253",
    "fd00:ec2::255",
];

/// Peer 1 lists everything, and so does peer 2, which owns everything if it is an exit.
fn everything(is_exit: bool) -> Relay {
    let all = ["0.0.0.0/0", "::/0"];
    let routes: &[&str] = if is_exit { &all } else { &[] };
    let peers = vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &all),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], routes, &all),
    ];
    Relay { egress: Egress::Stack, ..relay(peers) }
}

/// A packet of peer 1 to this address, and one from it to peer 1.
fn to_and_from(other: &str) -> [Inner; 2] {
    let other = address(other);
    let peer = address(if other.is_ipv4() { "10.3.2.2" } else { "fd00::3:2:2" });
    [Inner::udp(peer, other, 32), Inner::udp(other, peer, 32)]
}

#[test]
fn no_list_and_no_route_opens_a_special_network_in_either_direction() {
    if !possible("special::networks") {
        return;
    }
    for is_exit in [true, false] {
        let mut programs = ProgramRun::new(everything(is_exit));
        for (reason, other) in SPECIAL.iter().flat_map(|(r, all)| all.iter().map(move |a| (r, a))) {
            let label = reason.label();
            for (inner, slot) in to_and_from(other).iter().zip([1, 0]) {
                let ((verdict, out), moved) = programs.moved(|p| p.ingress(inner));
                assert_eq!(moved, [format!("{slot} {label} +1")], "{other}");
                // Only an ICMP error, which quotes the packet, may go back.
                assert!(
                    verdict == SHOT || (slot == 1 && out.len() > inner.bytes().len()),
                    "{other}"
                );
            }
        }
    }
}

#[test]
fn what_is_next_to_a_special_network_is_relayed() {
    if !possible("special::next") {
        return;
    }
    let mut programs = ProgramRun::new(everything(true));
    for other in ORDINARY {
        for inner in to_and_from(other) {
            let ((verdict, _), moved) = programs.moved(|p| p.ingress(&inner));
            assert_eq!((verdict, moved.len()), (REDIRECT, 4), "{other}: {moved:?}");
        }
    }
}

#[test]
fn a_metadata_service_that_a_list_names_is_relayed_and_its_owner_answers() {
    if !possible("special::named") {
        return;
    }
    let mut relay = everything(true);
    relay.peers[0].allowed_ips.push("100.100.100.200/32".parse().expect("a prefix"));
    relay.peers[1].routes.push("fd00:ec2::254/128".parse().expect("a prefix"));
    let mut programs = ProgramRun::new(relay);
    for other in ["100.100.100.200", "fd00:ec2::254"] {
        for inner in to_and_from(other) {
            assert_eq!(programs.ingress(&inner).0, REDIRECT, "{other}");
        }
    }
    let (_, moved) = programs.moved(|p| p.ingress(&to_and_from("168.63.129.16")[0]));
    assert_eq!(moved, ["1 reserved_address +1"]);
}
