//! The same decision for the same flow, whichever way a packet takes through the program.

use relay_common::{Reason, counters::RuleCounters, flow::tcp, names::PAIR_STATS};
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, SHOT},
};

use super::{back, connect, drops, families, one_way, one_way_programs, passes};
use crate::possible;

#[test]
fn the_fast_path_makes_of_a_packet_what_the_slow_one_makes() {
    if !possible("rules::paths") {
        return;
    }
    // Pair counters take the slow path.
    let mut both = [ProgramRun::new(one_way()), ProgramRun::with_features(one_way(), PAIR_STATS)];
    for ends in families() {
        let mut packets = Vec::new();
        for flags in [2, 18, 16, 24, 0, 1, 17, 4, 20, 3, 0xff, 16] {
            for port in [40_000, 40_001] {
                packets.push(Inner::segment(ends, [port, 22], flags));
                packets.push(Inner::segment(back(ends), [22, port], flags));
                packets.push(Inner::segment(ends, [22, port], flags));
            }
        }
        for port in [53, 54] {
            for payload in [0, 1, 1_000, 2_000] {
                packets.push(Inner::datagram(ends, [40_000, port], payload));
                packets.push(Inner::datagram(back(ends), [port, 40_000], payload));
                packets.push(Inner::datagram(ends, [40_000, port], payload).with_ttl(1));
                packets.push(Inner::datagram(back(ends), [port, 40_000], payload).with_ttl(1));
            }
        }
        packets.extend_from_within(..);
        for inner in packets {
            let [one, other] = both.each_mut().map(|programs| made_of(programs, &inner));
            assert_eq!(one, other, "{inner:?}");
        }
    }
    let [one, other] = both.each_mut().map(|programs| {
        let mut flows = programs.loaded().flows().expect("the table");
        flows.sort_by_key(|flow| (flow.beginner, flow.ports, flow.protocol));
        let seen =
            |flow: &relay::datapath::LiveFlow| (flow.ports, flow.packets, flow.bytes, flow.state);
        let flows: Vec<_> = flows.iter().map(seen).collect();
        let counters = programs.loaded().rule(1).expect("counters");
        (flows, RuleCounters { last_ns: 0, ..counters })
    });
    assert_eq!(one, other);
    assert!(!one.0.is_empty());
}

/// Verdict, packet and moved counters. Whether a dropped packet is answered with an error goes by the
/// clock, and each program has its own limit: answered, it counts as dropped alone.
fn made_of(programs: &mut ProgramRun, inner: &Inner) -> (u32, Vec<u8>, Vec<String>) {
    /// Longest quote of an error.
    const MAX_QUOTE: usize = 128;
    let ((verdict, out), moved) = programs.moved(|programs| programs.ingress(inner));
    let passes = moved.iter().any(|counter| counter.contains(" tx_packets "));
    if passes || verdict == SHOT {
        return (verdict, out, moved);
    }
    let quoted = &inner.bytes()[..inner.bytes().len().min(MAX_QUOTE)];
    assert!(verdict == REDIRECT && out.ends_with(quoted), "{inner:?} became {out:?}");
    (SHOT, inner.bytes().to_vec(), moved)
}

#[test]
fn an_aggregate_counts_as_the_packets_that_it_was_made_of() {
    let Some(mut programs) = one_way_programs("rules::aggregate") else { return };
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        let mut transport = vec![0x9c, 0x40, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, tcp::ACK];
        transport.resize(20 + 400, 0);
        let inner = Inner::new(ends[0], ends[1], 6, &transport);
        let ((verdict, _), moved) =
            programs.moved(|programs| programs.ingress_aggregate(&inner, (4, 100)));
        assert_eq!(verdict, REDIRECT);
        let header = inner.bytes().len() - 400;
        let len = 4 * (header + 100);
        let expected = [
            "1 rx_packets +4".to_owned(),
            format!("1 rx_bytes +{len}"),
            "2 tx_packets +4".to_owned(),
            format!("2 tx_bytes +{len}"),
        ];
        assert_eq!(moved, expected);
        let flows = programs.loaded().flows().expect("the table");
        let flow = flows.iter().find(|flow| flow.beginner == ends[0]).expect("its flow");
        let opened = 2 * header as u64;
        assert_eq!((flow.packets, flow.bytes), (6, opened + len as u64));
        // Dropped, it counts alike.
        let inner = Inner::new(ends[1], ends[0], 6, &transport);
        let (_, moved) = programs.moved(|programs| programs.ingress_aggregate(&inner, (4, 100)));
        assert_eq!(moved, ["2 no_rule +4"]);
    }
    let rule = programs.loaded().rule(1).expect("counters");
    assert_eq!((rule.packets, rule.flows), (12, 2));
}

#[test]
fn ports_are_read_behind_extension_headers() {
    let Some(mut programs) = one_way_programs("rules::extensions") else { return };
    let [_, ends] = families();
    let segment = |ends, ports, flags| {
        Inner::segment(ends, ports, flags).with_destination_options().with_destination_options()
    };
    drops(&mut programs, &segment(ends, [40_000, 23], tcp::SYN), 1, Reason::NoRule);
    drops(&mut programs, &segment(back(ends), [22, 40_000], tcp::ACK), 2, Reason::NoRule);
    passes(&mut programs, &segment(ends, [40_000, 22], tcp::SYN), 1, 2);
    passes(&mut programs, &segment(back(ends), [22, 40_000], tcp::SYN | tcp::ACK), 2, 1);
    // It is the flow that packets without them belong to.
    passes(&mut programs, &Inner::segment(ends, [40_000, 22], tcp::ACK), 1, 2);
    passes(&mut programs, &Inner::segment(back(ends), [22, 40_000], tcp::ACK), 2, 1);
    drops(&mut programs, &segment(back(ends), [22, 40_000], tcp::SYN), 2, Reason::NoRule);
    let flows = programs.loaded().flows().expect("the table");
    assert_eq!((flows.len(), flows[0].packets), (1, 4));
    let too_many = (0..7).fold(Inner::segment(back(ends), [22, 40_000], tcp::ACK), |inner, _| {
        inner.with_destination_options()
    });
    drops(&mut programs, &too_many, 0, Reason::IpOptions);
}
