//! The ring of dropped packets.

use std::net::IpAddr;

use relay::datapath::{self, Direction, DroppedPacket};
use relay_common::{Reason, event::EVENTS_KEPT};
use relay_tests::{inner::Inner, program_run::address};

use crate::four_peers;

#[test]
fn dropped_packets_are_recorded_with_sender_headers_and_reason() {
    let Some(mut programs) = four_peers("events::recorded") else { return };
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
    assert_eq!(recorder.read(), Default::default(), "each is read once");
}

#[test]
fn a_slow_reader_learns_how_many_packets_it_missed() {
    let Some(mut programs) = four_peers("events::lost") else { return };
    let mut recorder = programs.loaded().recorder().expect("the ring");
    let dropped = Inner::udp(address("10.3.2.4"), address("10.3.2.5"), 40);
    for _ in 0..EVENTS_KEPT + 5 {
        programs.ingress(&dropped);
    }
    let recorded = recorder.read();
    assert_eq!((recorded.lost, recorded.packets.len()), (5, EVENTS_KEPT as usize));
    assert_eq!(recorded.packets[0].number, 6);
}

fn headers(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
) -> Option<datapath::Inner> {
    Some(datapath::Inner { source, destination, protocol, ports })
}
