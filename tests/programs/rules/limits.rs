//! A peer that begins as many flows as it can.

use std::time::Instant;

use relay_common::{Reason, flow::tcp};
use relay_tests::{inner::Inner, program_run::REDIRECT};

use super::{back, connect, ends_of, one_way_programs, passes};

/// What one peer may begin at once, and in a second.
const AT_ONCE: u64 = 2_000;
const A_SECOND: u64 = 1_000;

#[test]
fn ten_thousand_openings_of_one_peer_break_no_flow_of_another() {
    let Some(mut programs) = one_way_programs("rules::openings_of_one") else { return };
    let talking = ends_of(3, true);
    connect(&mut programs, talking, 40_000);
    let (before, begun) = (programs.dropped(1), Instant::now());
    for number in 0..10_000u16 {
        let ends = ends_of(1, number % 2 == 0);
        let inner = match number % 3 {
            0 => Inner::datagram(ends, [number, 53], 0),
            1 => Inner::segment(ends, [number, 22], tcp::SYN),
            _ => Inner::echo(ends, true, number),
        };
        programs.ingress(&inner);
        if number % 100 == 0 {
            passes(&mut programs, &Inner::segment(talking, [40_000, 22], tcp::ACK), 3, 2);
            passes(&mut programs, &Inner::segment(back(talking), [22, 40_000], 16), 2, 3);
        }
    }
    let seconds = begun.elapsed().as_secs() + 1;
    let limit = Reason::FlowLimit.index() as usize;
    let mut expected = before;
    expected[limit] = programs.dropped(1)[limit];
    assert_eq!(programs.dropped(1), expected, "another reason");
    let passed = 10_000 - (expected[limit] - before[limit]);
    let most = AT_ONCE + seconds * A_SECOND;
    assert!((AT_ONCE..=most).contains(&passed), "{passed} of at most {most}");
    // A third begins.
    for is_v4 in [true, false] {
        connect(&mut programs, ends_of(4, is_v4), 40_000);
    }
    let flows = programs.loaded().flows().expect("the table");
    assert!(flows.iter().any(|flow| flow.slot == 3 && flow.packets == 202), "it was cut");
}

#[test]
fn a_packet_above_the_limit_goes_on_in_a_flow_that_was_begun() {
    let Some(mut programs) = one_way_programs("rules::above_the_limit") else { return };
    let ends = ends_of(1, true);
    connect(&mut programs, ends, 50_000);
    for port in 0..4_000 {
        programs.ingress(&Inner::datagram(ends, [port, 53], 0));
    }
    let on = Inner::segment(ends, [50_000, 22], tcp::ACK);
    assert_eq!(programs.ingress(&on).0, REDIRECT);
    passes(&mut programs, &on, 1, 2);
}
