//! ICMP errors about packets between peers with rules.

use std::net::IpAddr;

use relay_common::{Reason, flow::tcp};
use relay_tests::{inner::Inner, program_run::address};

use super::{back, connect, drops, ends_of, families, one_way_programs, passes};

/// "Destination unreachable".
fn error(ends: [IpAddr; 2], quoted: &[u8]) -> Inner {
    Inner::error(ends, if ends[0].is_ipv4() { 3 } else { 1 }, quoted)
}

#[test]
fn those_about_a_flow_pass_in_both_directions() {
    let Some(mut programs) = one_way_programs("rules::errors_pass") else { return };
    for ends in families() {
        let there = Inner::segment(ends, [40_000, 22], tcp::ACK);
        let answer = Inner::segment(back(ends), [22, 40_000], tcp::ACK);
        let about_there = error(back(ends), there.bytes());
        let about_answer = error(ends, answer.bytes());
        drops(&mut programs, &about_there, 2, Reason::UnrelatedError);
        drops(&mut programs, &about_answer, 1, Reason::UnrelatedError);
        connect(&mut programs, ends, 40_000);
        passes(&mut programs, &about_there, 2, 1);
        passes(&mut programs, &about_answer, 1, 2);
        // Eight bytes of transport header are enough (RFC 792).
        let len = there.bytes().len() - 12;
        passes(&mut programs, &error(back(ends), &there.bytes()[..len]), 2, 1);
        // An error changes no flow.
        let flows = programs.loaded().flows().expect("the table");
        assert!(flows.iter().all(|flow| flow.state.label() == "open"), "{flows:?}");
    }
}

#[test]
fn those_about_anything_else_are_dropped() {
    let Some(mut programs) = one_way_programs("rules::errors_drop") else { return };
    for ends in families() {
        let is_v4 = ends[0].is_ipv4();
        connect(&mut programs, ends, 40_000);
        connect(&mut programs, ends_of(3, is_v4), 40_003);
        let there = Inner::segment(ends, [40_000, 22], tcp::ACK);
        let of_third = Inner::segment(ends_of(3, is_v4), [40_003, 22], tcp::ACK);
        let len = there.bytes().len();
        let nested = error(ends, there.bytes());
        let own = Inner::segment(back(ends), [22, 40_000], tcp::ACK);
        let to_third = Inner::segment([ends[0], ends_of(3, is_v4)[0]], [40_000, 22], tcp::ACK);
        let to_nobody = [ends[0], address(if is_v4 { "10.3.2.77" } else { "fd00::3:2:77" })];
        let quoted = [
            ("other ports", Inner::segment(ends, [40_001, 22], tcp::ACK).bytes().to_vec()),
            ("another protocol", Inner::datagram(ends, [40_000, 22], 8).bytes().to_vec()),
            ("another peer's flow", of_third.bytes().to_vec()),
            ("the sender's own packet", own.bytes().to_vec()),
            ("a packet to another peer", to_third.bytes().to_vec()),
            ("a packet to nobody", Inner::segment(to_nobody, [40_000, 22], 16).bytes().to_vec()),
            ("half of the ports", there.bytes()[..len - 18].to_vec()),
            ("half of the IP header", there.bytes()[..12].to_vec()),
            ("nothing", vec![]),
            ("an error", nested.bytes().to_vec()),
            ("zeros", vec![0; 64]),
            ("a later fragment", segment(ends).fragment(24..64, 7).bytes().to_vec()),
        ];
        for (what, quoted) in quoted {
            let inner = error(back(ends), &quoted);
            let (_, moved) = programs.moved(|programs| programs.ingress(&inner));
            assert_eq!(moved, ["2 unrelated_error +1"], "{what}");
        }
        // A peer that has no rule with the receiver keeps the reason of the lists.
        let stranger = [ends_of(3, is_v4)[0], ends[0]];
        drops(&mut programs, &error(stranger, there.bytes()), 3, Reason::NotInEitherList);
        // Other messages are no errors: redirects, and requests.
        let other = if is_v4 { 5 } else { 137 };
        let inner = Inner::error(back(ends), other, there.bytes());
        drops(&mut programs, &inner, 2, Reason::NoRule);
    }
}

fn segment(ends: [IpAddr; 2]) -> Inner {
    let mut transport = vec![0x9c, 0x40, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, tcp::ACK];
    transport.resize(64, 0);
    Inner::new(ends[0], ends[1], 6, &transport)
}
