//! Output of the programs besides counters: verdicts of probes, recorded drops, traffic of pairs.

use std::net::IpAddr;

use relay::datapath::{self, Direction, DroppedPacket};
use relay_common::{PairCounters, Reason, event::EVENTS_KEPT, names::PAIR_STATS, verdict::Verdict};
use relay_tests::{
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, address},
};

use crate::{four, four_peers, possible};

#[test]
fn a_question_is_answered_and_moves_nothing() {
    let Some(mut programs) = four_peers("told::question") else { return };
    let udp = |from, to| Inner::udp(address(from), address(to), 40);
    for (inner, expected) in [
        (udp("10.3.2.2", "10.3.2.3"), Ok(Verdict::Relay)),
        (udp("fd00::3:2:3", "fd00::3:2:2"), Ok(Verdict::Relay)),
        (udp("10.3.2.2", "192.168.7.9"), Ok(Verdict::Relay)),
        (udp("10.3.2.2", "10.3.2.1"), Err(Reason::HostAccess)),
        (Inner::new(address("10.3.2.2"), address("10.3.2.1"), 1, &[8; 40]), Ok(Verdict::ToHost)),
        (udp("10.3.2.4", "10.3.2.5"), Err(Reason::NotInEitherList)),
        (udp("10.3.2.2", "10.3.2.3").with_ttl(1), Err(Reason::TtlExceeded)),
        (udp("10.3.2.99", "10.3.2.3"), Err(Reason::SourceUnknown)),
    ] {
        let (answer, moved) = programs.moved(|programs| programs.ask(&inner));
        assert_eq!(answer, expected, "{inner:?}");
        assert!(moved.is_empty(), "{moved:?}");
    }
    let recorded = programs.loaded().recorder().expect("the ring").read();
    assert_eq!(recorded, Default::default(), "no packet was written down");
}

#[test]
fn dropped_packets_are_written_down_with_who_whither_and_why() {
    let Some(mut programs) = four_peers("told::packets") else { return };
    let mut recorder = programs.loaded().recorder().expect("the ring");
    let v4 = Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 40);
    let v6 = Inner::new(address("fd00::3:2:2"), address("fd00::3:2:99"), 58, &[128; 40]);
    programs.ingress(&v4);
    programs.ingress(&v6);
    programs.egress(&Inner::udp(address("198.51.100.9"), address("10.3.2.2"), 40), 7);
    programs.ingress(&Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 40));
    let recorded = recorder.read();
    assert_eq!(recorded.lost, 0);
    let times: Vec<u64> = recorded.packets.iter().map(|packet| packet.time_ns).collect();
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    let expected = [
        DroppedPacket {
            number: 1,
            time_ns: times[0],
            slot: 3,
            direction: Direction::Ingress,
            reason: Reason::NotInEitherList,
            headers: headers(address("10.3.2.4"), address("10.3.2.5"), 17, (1024, 7)),
            len: 68,
        },
        DroppedPacket {
            number: 2,
            time_ns: times[1],
            slot: 1,
            direction: Direction::Ingress,
            reason: Reason::DestinationUnknown,
            headers: headers(address("fd00::3:2:2"), address("fd00::3:2:99"), 58, (0x8080, 0)),
            len: 80,
        },
        DroppedPacket {
            number: 3,
            time_ns: times[2],
            slot: 0,
            direction: Direction::Egress,
            reason: Reason::ForwardedIn,
            headers: headers(address("198.51.100.9"), address("10.3.2.2"), 17, (1024, 7)),
            len: 68,
        },
    ];
    assert_eq!(recorded.packets, expected);
    assert_eq!(recorder.read(), Default::default(), "each is told once");
}

#[test]
fn a_reader_that_is_too_slow_is_told_how_many_it_missed() {
    let Some(mut programs) = four_peers("told::lost") else { return };
    let mut recorder = programs.loaded().recorder().expect("the ring");
    let dropped = Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 40);
    for _ in 0..EVENTS_KEPT + 5 {
        programs.ingress(&dropped);
    }
    let recorded = recorder.read();
    assert_eq!((recorded.lost, recorded.packets.len()), (5, EVENTS_KEPT as usize));
    assert_eq!(recorded.packets[0].number, 6);
}

#[test]
fn traffic_is_counted_for_pairs_where_that_is_asked_for() {
    if !possible("told::pairs") {
        return;
    }
    let inner = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 56);
    let back = Inner::udp(address("fd00::3:2:3"), address("fd00::3:2:2"), 52);
    let mut tcp = vec![0; 20 + 3000];
    tcp[12] = 0x50;
    let aggregate = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 6, &tcp);
    let mut programs = ProgramRun::with_features(four(), PAIR_STATS);
    for _ in 0..3 {
        assert_eq!(programs.ingress(&inner).0, REDIRECT);
    }
    assert_eq!(programs.ingress(&back).0, REDIRECT);
    programs.ingress(&Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 40));
    let mut pair = |source, destination| programs.loaded().pair(source, destination).expect("it");
    assert_eq!(pair(1, 2), PairCounters { packets: 3, bytes: 3 * 84 });
    assert_eq!(pair(2, 1), PairCounters { packets: 1, bytes: 100 });
    assert_eq!(pair(3, 4), PairCounters::default());
    programs.ingress_aggregate(&aggregate, (3, 1300));
    let counted = programs.loaded().pair(1, 2).expect("it");
    assert_eq!(counted, PairCounters { packets: 6, bytes: 3 * 84 + 3 * 40 + 3000 });
}

fn headers(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
) -> Option<datapath::Inner> {
    Some(datapath::Inner { source, destination, protocol, ports })
}
