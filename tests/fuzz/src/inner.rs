//! Packets of peers, and of the host to peers, through the programs in the kernel: the verdict is that
//! of the formula for what a plain reading finds in the packet, and nothing but its counters moves.
//!
//! Where rules decide, earlier packets matter, too. There the reading says what may pass at all.

use std::{net::IpAddr, ops::RangeInclusive};

use relay::{
    datapath::{Direction, Packet, Run as Ran},
    model::{Relay, Rule, Selector, Services, Transport},
    policy::{Sources, eval, is_ruled},
};
use relay_common::{Reason, icmp::Answer, verdict::Verdict};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, REDIRECT, SHOT, peer, relay, slots},
};

use crate::{
    choices::Choices,
    inner::reading::{Carried, Kind, Read},
    run::Run,
};

mod reading;

/// What `BPF_PROG_TEST_RUN` takes whatever is in the packet, bytes.
const LENGTHS: RangeInclusive<usize> = 54..=1_600;
/// Packets of an input.
const PACKETS: usize = 8;
/// An interface that is not the relay's.
const ELSEWHERE: u32 = 77;

/// What the peer [`BEGINS`] may begin with the peer [`ANSWERS`]: TCP to this port, UDP to this one, and
/// echo.
const TCP: u16 = 22;
const UDP: u16 = 53;
const BEGINS: u32 = 3;
const ANSWERS: u32 = 4;

pub(crate) fn start() -> Run {
    let mut programs = ProgramRun::new(peers());
    Box::new(move |input| {
        let mut choices = Choices::of(input);
        for _ in 0..PACKETS {
            let how = choices.byte();
            let mut packet = choices.bytes().to_vec();
            if !LENGTHS.contains(&packet.len()) {
                return;
            }
            if how & 1 != 0 {
                reading::mend(&mut packet);
            }
            match how >> 1 & 3 {
                0 => to_peer(&mut programs, &packet, ELSEWHERE),
                1 => to_peer(&mut programs, &packet, 0),
                _ => from_peer(&mut programs, &packet),
            }
        }
    })
}

/// Peers 1 and 2 list each other, and 1 a network behind 2. 3 may begin something with 4. 5 lists all,
/// and nobody lists it. 6 is disabled. Slots are these numbers.
fn peers() -> Relay {
    let to_1 = ["10.3.2.3/32", "fd00::3:2:3/128", "192.168.7.0/24"];
    let to_2 = ["10.3.2.2/32", "fd00::3:2:2/128"];
    let mut off = peer(6, &["10.3.2.7", "fd00::3:2:7"], &[], &["0.0.0.0/0", "::/0"]);
    off.enabled = false;
    let mut relay = relay(vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &to_1),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &["192.168.7.0/24"], &to_2),
        peer(3, &["10.3.2.4", "fd00::3:2:4"], &[], &[]),
        peer(4, &["10.3.2.5", "fd00::3:2:5"], &[], &[]),
        peer(5, &["10.3.2.6", "fd00::3:2:6"], &[], &["0.0.0.0/0", "::/0"]),
        off,
    ]);
    let port = |transport, port| Services::Ports { transport, first: port, last: port };
    let rule = Rule::new("begins".parse().expect("a name"));
    relay.rules = vec![Rule {
        from: vec![Selector::Peer(2)],
        to: vec![Selector::Peer(3)],
        services: vec![port(Transport::Tcp, TCP), port(Transport::Udp, UDP), Services::Echo],
        ..rule
    }];
    relay
}

fn from_peer(programs: &mut ProgramRun, packet: &[u8]) {
    let slots = slots(&programs.relay);
    let relay = programs.relay.clone();
    let sources = Sources { relay: &relay, host_addresses: &[], slots: &slots };
    let read = Read::of(packet);
    let (ran, moved) = programs.moved(|programs| run(programs, Direction::Ingress, packet, 1));
    let read = match read {
        Ok(read) => read,
        Err(reason) => return is_dropped(packet, &ran, &moved, 0, reason),
    };
    let Read { source, destination, .. } = read;
    let formula = eval(&sources, source, destination);
    let slot = programs.compiled.counted_slot(source);
    let to = programs.compiled.counted_slot(destination);
    let expected = match formula {
        Ok(Verdict::Relay) => read.may_leave(relay.mtu).map(|()| Verdict::Relay),
        _ if is_ruled(&sources, source, destination) => {
            return by_rules(packet, &read, &ran, &moved, [slot, to]);
        }
        // It may quote a packet of a flow between other addresses of the two.
        Err(Reason::NotInEitherList) if [slot, to] == [ANSWERS, BEGINS] && read.is_error() => {
            return;
        }
        Ok(Verdict::ToHost) | Err(Reason::DestinationUnknown) => {
            return by_the_host(packet, &read, &ran, &moved, slot);
        }
        otherwise => otherwise,
    };
    // A probe is an aggregate of small segments.
    let answer = if expected == Err(Reason::TooBig) { formula } else { expected };
    assert_eq!(programs.ask(&Inner::raw(packet)), answer, "asked about {packet:02x?}");
    match expected {
        Ok(_) => {
            assert_eq!(moved, relayed([slot, to], packet.len()), "{packet:02x?}");
            is_sent_on(packet, &ran);
        }
        Err(reason) => is_dropped(packet, &ran, &moved, slot, reason),
    }
}

/// What may pass by the rule, and its counters.
fn by_rules(packet: &[u8], read: &Read, ran: &Ran, moved: &[String], [from, to]: [u32; 2]) {
    let passes = moved.contains(&format!("{from} rx_packets +1"));
    for counter in moved {
        let is_of_them = [from, to].iter().any(|slot| counter.starts_with(&format!("{slot} ")));
        assert!(is_of_them, "{moved:?}: {packet:02x?}");
    }
    if !passes {
        assert!(ran.verdict == SHOT || ran.verdict == REDIRECT, "{ran:?}: {packet:02x?}");
        return;
    }
    is_sent_on(packet, ran);
    let is_allowed = match (&read.carried, from) {
        // Its first fragment has passed, or what it is about.
        (Carried::LaterFragment, _) => true,
        _ if read.is_error() => true,
        (Carried::Ports { kind: Kind::Tcp, to, .. }, BEGINS) => *to == TCP,
        (Carried::Ports { kind: Kind::Udp, to, .. }, BEGINS) => *to == UDP,
        (Carried::Ports { kind: Kind::Tcp, from, .. }, _) => *from == TCP,
        (Carried::Ports { kind: Kind::Udp, from, .. }, _) => *from == UDP,
        (Carried::Icmp { kind }, BEGINS) => *kind == 8 || *kind == 128,
        (Carried::Icmp { kind }, _) => *kind == 0 || *kind == 129,
        (Carried::Other, _) => false,
    };
    assert!(is_allowed, "passed from {from} to {to}: {packet:02x?}");
}

/// Where the host's routing decides.
fn by_the_host(packet: &[u8], read: &Read, ran: &Ran, moved: &[String], slot: u32) {
    let is_error = read.is_error();
    if ran.verdict == OK {
        let expected = [
            format!("{slot} host_rx_packets +1"),
            format!("{slot} host_rx_bytes +{}", packet.len()),
        ];
        assert_eq!(moved, expected, "{packet:02x?}");
        assert_eq!(ran.packet, packet);
        assert!(!is_error || quotes_the_host(packet), "{packet:02x?}");
        return;
    }
    let of_errors = is_error.then_some(Reason::UnrelatedError);
    let reasons = [Reason::HostAccess, Reason::DestinationUnknown].into_iter().chain(of_errors);
    let is_counted = |reason: &Reason| moved == [format!("{slot} {} +1", reason.label())];
    match reasons.into_iter().find(is_counted) {
        Some(reason) => is_dropped(packet, ran, moved, slot, reason),
        None => panic!("{moved:?}: {packet:02x?}"),
    }
}

/// Whether the sender of what an ICMP error quotes has the address that the error goes to. `true` behind
/// extension headers, where this reading does not look.
fn quotes_the_host(error: &[u8]) -> bool {
    match (error[0] >> 4, error.get(6)) {
        (4, _) => error.get(40..44) == error.get(16..20),
        (6, Some(58)) => error.get(56..72) == error.get(24..40),
        _ => true,
    }
}

/// A packet that the host sends to the interface, or another one forwards to it.
fn to_peer(programs: &mut ProgramRun, packet: &[u8], from: u32) {
    let (ran, moved) = programs.moved(|programs| run(programs, Direction::Egress, packet, from));
    let slot_of = |counter: &String| counter.split(' ').next().map(str::to_owned);
    let slots: Vec<_> = moved.iter().map(slot_of).collect();
    let (Some(first), true) = (slots.first(), slots.windows(2).all(|two| two[0] == two[1])) else {
        panic!("{moved:?}: {packet:02x?}");
    };
    if ran.verdict == OK {
        let first = first.as_deref().unwrap_or_default();
        let expected = [
            format!("{first} host_tx_packets +1"),
            format!("{first} host_tx_bytes +{}", packet.len()),
        ];
        assert_eq!(moved, expected, "{packet:02x?}");
        // Nothing is forwarded into the overlay: egress is "deny".
        assert_eq!((from, &ran.packet[..]), (0, packet));
    } else {
        assert_eq!(moved.len(), 1, "{moved:?}: {packet:02x?}");
    }
}

fn run(programs: &mut ProgramRun, direction: Direction, packet: &[u8], from: u32) -> Ran {
    let interface = programs.interface;
    let packet = Packet { bytes: packet, interface, ingress_interface: from, ..Packet::default() };
    programs.loaded().run(direction, &packet).expect("the packet runs")
}

fn relayed([from, to]: [u32; 2], len: usize) -> Vec<String> {
    let mut moved = [(from, "rx"), (to, "tx")];
    moved.sort_unstable();
    let lines = moved.into_iter().flat_map(|(slot, way)| {
        [format!("{slot} {way}_packets +1"), format!("{slot} {way}_bytes +{len}")]
    });
    lines.collect()
}

/// The same packet with one hop less.
fn is_sent_on(packet: &[u8], ran: &Ran) {
    let mut expected = packet.to_vec();
    reading::take_a_hop(&mut expected);
    assert_eq!((ran.verdict, &ran.packet), (REDIRECT, &expected));
}

/// Dropped for this reason, with an error to its sender or without.
fn is_dropped(packet: &[u8], ran: &Ran, moved: &[String], slot: u32, reason: Reason) {
    assert_eq!(moved, [format!("{slot} {} +1", reason.label())], "{packet:02x?}");
    if ran.verdict == REDIRECT {
        assert!(Answer::to(reason).is_some(), "an error because of {reason:?}: {packet:02x?}");
        let error = Read::of(&ran.packet);
        let error = error.unwrap_or_else(|reason| panic!("{reason:?}: {ran:02x?}"));
        let sender: Result<IpAddr, Reason> = Read::of(packet).map(|read| read.source);
        assert!(error.is_error() && Ok(error.destination) == sender, "{ran:02x?}");
        return;
    }
    assert_eq!(ran.verdict, SHOT, "{packet:02x?}");
}
