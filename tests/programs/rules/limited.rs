//! Limits of peers between which rules decide.

use std::time::{SystemTime, UNIX_EPOCH};

use relay::model::{Limits, Period, Quota, Rate, Relay};
use relay_common::{Reason, flow::tcp, meter::Used};
use relay_tests::{
    generations::Generations,
    inner::Inner,
    program_run::{ProgramRun, REDIRECT},
};

use super::{back, connect, drops, families, one_way, passes};
use crate::possible;

/// The policy of [`one_way`] with these limits of peer 2.
fn limited(limits: Limits) -> Relay {
    let Relay { mut peers, .. } = one_way();
    peers[1].limits = limits;
    Relay { peers, ..one_way() }
}

fn quota(bytes: u64, period: Period) -> Limits {
    Limits { quota: Some(Quota { bytes, period }), ..Limits::default() }
}

#[test]
fn packets_of_a_flow_are_charged_and_what_exceeds_the_quota_begins_no_flow() {
    if !possible("rules::limited") {
        return;
    }
    let mut programs = ProgramRun::new(limited(quota(1 << 16, Period::Week)));
    let mut bytes = 0;
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        for number in 0..10 {
            let inner = match number % 2 {
                0 => Inner::segment(ends, [40_000, 22], tcp::ACK),
                _ => Inner::segment(back(ends), [22, 40_000], tcp::ACK),
            };
            let slots = if number % 2 == 0 { [1, 2] } else { [2, 1] };
            passes(&mut programs, &inner, slots[0], slots[1]);
        }
        let len = Inner::segment(ends, [0, 0], 0).bytes().len() as u64;
        bytes += 12 * len;
        let used = programs.loaded().used(2).expect("the meters");
        assert_eq!(used.used_from + used.used_to, bytes);
    }
    let ends = families()[0];
    let query = Inner::datagram(ends, [5_000, 53], 1_200);
    for _ in 0..(65_536 - bytes) / 1_228 {
        passes(&mut programs, &query, 1, 2);
    }
    let before = programs.loaded().rule(1).expect("counters");
    let flows = programs.loaded().flows().expect("the table").len();
    for inner in [query, Inner::datagram(ends, [5_001, 53], 1_200)] {
        drops(&mut programs, &inner, 1, Reason::Quota);
        assert_eq!(programs.ask(&inner), Err(Reason::Quota));
    }
    assert_eq!(programs.loaded().rule(1).expect("counters"), before);
    assert_eq!(programs.loaded().flows().expect("the table").len(), flows);
}

#[test]
fn a_rate_holds_for_flows_and_for_what_would_begin_one() {
    if !possible("rules::limited_rate") {
        return;
    }
    let rate_to = Rate::new(8_000);
    let mut programs = ProgramRun::new(limited(Limits { rate_to, ..Limits::default() }));
    let [ends, _] = families();
    connect(&mut programs, ends, 40_000);
    let query = Inner::datagram(ends, [5_000, 53], 1_252);
    let passed = (0..200).take_while(|_| programs.ingress(&query).0 == REDIRECT).count();
    assert!((51..55).contains(&passed), "{passed}");
    drops(&mut programs, &query, 1, Reason::Rate);
    drops(&mut programs, &Inner::segment(ends, [40_000, 22], tcp::ACK), 1, Reason::Rate);
    drops(&mut programs, &Inner::segment(ends, [40_001, 22], tcp::SYN), 1, Reason::Rate);
    passes(&mut programs, &Inner::segment(back(ends), [22, 40_000], tcp::ACK), 2, 1);
}

#[test]
fn a_reload_goes_on_with_what_was_used_and_a_new_period_begins_with_nothing() {
    if !possible("rules::limited_reload") {
        return;
    }
    let mut programs =
        Generations::begin(limited(quota(1 << 16, Period::Week))).expect("the programs");
    let [ends, _] = families();
    let query = Inner::datagram(ends, [5_000, 53], 1_252);
    let passes = |programs: &mut Generations| {
        // An ICMP error about it is redirected too.
        let relayed = query.clone().with_ttl(63);
        let ran = |programs: &mut Generations| programs.ingress(&query).expect("it runs").packet;
        (0..200).take_while(|_| ran(programs) == relayed.bytes()).count()
    };
    assert_eq!(passes(&mut programs), 51);
    assert_eq!(programs.used(2).expect("the meters").used_to, 51 * 1_280);
    programs.switch(limited(quota(1 << 16, Period::Week))).expect("the programs");
    assert_eq!(passes(&mut programs), 0);
    // Without limits nothing is charged, and with them again it goes on.
    programs.switch(one_way()).expect("the programs");
    assert_eq!(passes(&mut programs), 200);
    programs.switch(limited(quota(2 << 16, Period::Month))).expect("the programs");
    assert_eq!(passes(&mut programs), 51);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let today = now.as_secs() / 86_400;
    let used = programs.used(2).expect("the meters");
    assert!(used.day == today || used.day + 1 == today, "{used:?}");
    // As if all of it were of the month before.
    let earlier = Used { day: used.day - 31, ..used };
    programs.set_used(2, earlier).expect("the meters");
    assert_eq!(passes(&mut programs), 102);
    // A clock that was set back gives nothing.
    let used = programs.used(2).expect("the meters");
    programs.set_used(2, Used { day: used.day + 31, ..used }).expect("the meters");
    assert_eq!(passes(&mut programs), 0);
}
