//! Datagrams in fragments between peers with rules.

use std::net::IpAddr;

use relay_common::{Reason, flow::tcp};
use relay_tests::inner::Inner;

use super::{back, connect, drops, families, one_way_programs, passes, waits};

/// A segment of a connection with data, to be cut.
fn segment(ends: [IpAddr; 2], [from, to]: [u16; 2], flags: u8) -> Inner {
    let [a, b] = from.to_be_bytes();
    let [c, d] = to.to_be_bytes();
    let mut transport = vec![a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, flags];
    transport.resize(64, 0);
    Inner::new(ends[0], ends[1], 6, &transport)
}

#[test]
fn later_ones_pass_behind_a_first_one_that_passed_in_both_directions() {
    let Some(mut programs) = one_way_programs("rules::fragments_pass") else { return };
    for ends in families() {
        let asked = Inner::datagram(ends, [40_000, 53], 56);
        let answered = Inner::datagram(back(ends), [53, 40_000], 56);
        for (whole, from, to) in [(asked, 1, 2), (answered, 2, 1)] {
            let [first, middle, last] = [0..8, 8..48, 48..64].map(|part| whole.fragment(part, 7));
            passes(&mut programs, &first, from, to);
            for later in [&last, &middle, &last] {
                passes(&mut programs, later, from, to);
            }
            // Another datagram, and the other way.
            waits(&mut programs, &whole.fragment(48..64, 8));
        }
        let other = Inner::datagram(super::ends_of(3, ends[0].is_ipv4()), [40_000, 53], 56);
        waits(&mut programs, &other.fragment(48..64, 7));
    }
}

#[test]
fn a_first_one_is_judged_by_its_ports() {
    let Some(mut programs) = one_way_programs("rules::fragments_judged") else { return };
    for ends in families() {
        let asked = Inner::datagram(ends, [40_000, 54], 56);
        let answered = Inner::datagram(back(ends), [53, 40_000], 56);
        for (whole, from) in [(asked, 1), (answered, 2)] {
            drops(&mut programs, &whole.fragment(0..48, 7), from, Reason::NoRule);
            waits(&mut programs, &whole.fragment(48..64, 7));
        }
    }
}

#[test]
fn a_first_one_without_the_whole_header_is_dropped() {
    let Some(mut programs) = one_way_programs("rules::fragments_tiny") else { return };
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        let there = segment(ends, [40_000, 22], tcp::ACK);
        let answer = segment(back(ends), [22, 40_000], tcp::ACK);
        for (whole, from, to) in [(there, 1, 2), (answer, 2, 1)] {
            for end in [8, 16] {
                drops(&mut programs, &whole.fragment(0..end, 7), from, Reason::BadFragment);
                waits(&mut programs, &whole.fragment(24..64, 7));
            }
            // The flags come second.
            waits(&mut programs, &whole.fragment(8..64, 7));
            passes(&mut programs, &whole.fragment(0..24, 8), from, to);
            passes(&mut programs, &whole.fragment(24..64, 8), from, to);
        }
    }
}

#[test]
fn a_later_one_that_overlaps_the_header_is_dropped() {
    let Some(mut programs) = one_way_programs("rules::fragments_overlap") else { return };
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        let answer = segment(back(ends), [22, 40_000], tcp::ACK);
        passes(&mut programs, &answer.fragment(0..48, 7), 2, 1);
        for start in [8, 16] {
            drops(&mut programs, &answer.fragment(start..64, 7), 2, Reason::BadFragment);
        }
        // Data over data may do no harm to what was judged.
        passes(&mut programs, &answer.fragment(24..64, 7), 2, 1);
    }
}

#[test]
fn another_first_one_of_the_same_number_takes_its_place() {
    let Some(mut programs) = one_way_programs("rules::fragments_again") else { return };
    for ends in families() {
        let good = Inner::datagram(ends, [40_000, 53], 56);
        passes(&mut programs, &good.fragment(0..48, 7), 1, 2);
        passes(&mut programs, &good.fragment(0..8, 7), 1, 2);
        passes(&mut programs, &good.fragment(8..64, 7), 1, 2);
        let bad = Inner::datagram(ends, [40_000, 54], 56);
        drops(&mut programs, &bad.fragment(0..48, 7), 1, Reason::NoRule);
    }
}

#[test]
fn extension_headers_in_front_of_the_fragment_header_change_nothing() {
    let Some(mut programs) = one_way_programs("rules::fragments_options") else { return };
    let [_, ends] = families();
    let asked = Inner::datagram(ends, [40_000, 53], 56);
    let [first, last] =
        [0..48, 48..64].map(|part| asked.fragment(part, 7).with_destination_options());
    passes(&mut programs, &first, 1, 2);
    passes(&mut programs, &last, 1, 2);
    let bad = Inner::datagram(ends, [40_000, 54], 56);
    let first = bad.fragment(0..48, 8).with_destination_options();
    drops(&mut programs, &first, 1, Reason::NoRule);
    // Behind it they are part of what is cut, and the whole chain must be in the first one.
    let whole = Inner::datagram(ends, [40_000, 53], 56).with_destination_options();
    drops(&mut programs, &whole.fragment(0..8, 9), 1, Reason::BadFragment);
    passes(&mut programs, &whole.fragment(0..16, 9), 1, 2);
    drops(&mut programs, &whole.fragment(8..72, 9), 1, Reason::BadFragment);
    passes(&mut programs, &whole.fragment(16..72, 9), 1, 2);
}
