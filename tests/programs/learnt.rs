//! What peers use of each other, counted while it is learnt: who began, what for, and how much.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, ensure};
use relay::{
    datapath::Datapath,
    model::{Relay, Rule, Selector, Services, Transport},
};
use relay_common::{
    flow::tcp,
    service::{ECHO, PROTOCOL, TCP, UDP},
    usage::{MAX_SERVICES, MAX_SERVICES_OF_A_PEER, OTHERS, Use, UseKey},
};
use relay_tests::{
    guard::bed::Bed,
    inner::Inner,
    program_run::{ProgramRun, REDIRECT, address, peer, relay},
    scenario, skip,
    tun_host::TunHost,
};

use crate::{four, possible};

const SYN_ACK: u8 = tcp::SYN | tcp::ACK;

/// The addresses of peers 1 and 2, in both families.
const ENDS: [[&str; 2]; 2] = [["10.3.2.2", "10.3.2.3"], ["fd00::3:2:2", "fd00::3:2:3"]];

#[test]
fn a_connection_is_used_by_who_opened_it_whatever_its_ports() {
    let Some(mut learning) = Learning::of("learnt::connection", four()) else { return };
    for ends in both() {
        // The service has the higher port.
        learning.relay(&Inner::segment(ends, [21, 40_000], tcp::SYN));
        for _ in 0..3 {
            learning.relay(&Inner::segment(back(ends), [40_000, 21], SYN_ACK));
            learning.relay(&Inner::segment(ends, [21, 40_000], tcp::ACK));
        }
    }
    learning.found(&[((1, 2, TCP + 40_000), 14, 6)]);
}

#[test]
fn of_a_connection_that_is_older_than_learning_the_lower_port_is_the_service() {
    let Some(mut learning) = Learning::of("learnt::older", four()) else { return };
    for ends in both() {
        learning.relay(&Inner::segment(back(ends), [22, 40_000], tcp::ACK));
        learning.relay(&Inner::segment(ends, [40_000, 22], tcp::ACK));
        // Nor is the port of a client told from that of a service here.
        learning.relay(&Inner::datagram(back(ends), [53, 40_000], 10));
        learning.relay(&Inner::datagram(ends, [40_000, 53], 10));
    }
    learning.found(&[((1, 2, TCP + 22), 4, 2), ((1, 2, UDP + 53), 4, 2)]);
}

#[test]
fn who_accepts_a_connection_did_not_begin_it() {
    let Some(mut learning) = Learning::of("learnt::accepts", four()) else { return };
    let [ends, _] = both();
    learning.relay(&Inner::segment(back(ends), [40_000, 21], SYN_ACK));
    learning.relay(&Inner::segment(ends, [21, 40_000], tcp::ACK));
    // And a SYN never belongs to what the other side began.
    learning.relay(&Inner::segment(back(ends), [40_000, 21], tcp::SYN));
    learning.found(&[((1, 2, TCP + 40_000), 2, 1), ((2, 1, TCP + 21), 1, 0)]);
}

#[test]
fn an_echo_is_one_service_and_its_errors_belong_to_nothing() {
    let Some(mut learning) = Learning::of("learnt::echo", four()) else { return };
    for ends in both() {
        learning.relay(&Inner::echo(ends, true, 7));
        learning.relay(&Inner::echo(back(ends), false, 7));
        let quoted = Inner::echo(ends, true, 7);
        let unreachable = if ends[0].is_ipv4() { 3 } else { 1 };
        learning.relay(&Inner::error(back(ends), unreachable, quoted.bytes()));
        learning.relay(&Inner::new(ends[0], ends[1], 132, &[0; 12]));
        learning.relay(&Inner::new(ends[1], ends[0], 132, &[0; 12]));
    }
    learning.found(&[((1, 2, PROTOCOL + 132), 4, 2), ((1, 2, ECHO), 4, 2)]);
}

#[test]
fn an_aggregate_counts_as_its_packets_and_a_datagram_in_fragments_by_its_first() {
    let Some(mut learning) = Learning::of("learnt::aggregate", four()) else { return };
    let [ends, _] = both();
    let mut segment = vec![0; 20 + 3000];
    segment[..4].copy_from_slice(&[0x9c, 0x40, 0, 22]);
    (segment[12], segment[13]) = (5 << 4, tcp::ACK);
    let segments = Inner::new(ends[0], ends[1], 6, &segment);
    let (verdict, _) = learning.programs.ingress_aggregate(&segments, (3, 1300));
    assert_eq!(verdict, REDIRECT);
    let whole = Inner::datagram(ends, [40_000, 53], 40);
    learning.relay(&whole.fragment(0..24, 7));
    learning.relay(&whole.fragment(24..48, 7));
    let uses = learning.found(&[((1, 2, TCP + 22), 3, 0), ((1, 2, UDP + 53), 1, 0)]);
    assert_eq!(uses[&(1, 2, TCP + 22)].bytes, 3 * 40 + 3000);
}

#[test]
fn flows_by_rules_are_used_by_who_began_them() {
    let Some(mut learning) = Learning::of("learnt::rules", ruled()) else { return };
    for ends in both() {
        learning.relay(&Inner::datagram(ends, [21, 40_000], 10));
        for _ in 0..3 {
            learning.relay(&Inner::datagram(back(ends), [40_000, 21], 10));
            learning.relay(&Inner::datagram(ends, [21, 40_000], 10));
        }
    }
    learning.found(&[((1, 2, UDP + 40_000), 14, 6)]);
}

#[test]
fn what_is_dropped_or_for_the_host_is_no_use() {
    let Some(mut learning) = Learning::of("learnt::dropped", four()) else { return };
    for (from, to) in [("10.3.2.4", "10.3.2.2"), ("10.3.2.2", "10.3.2.1")] {
        let packet = Inner::datagram([address(from), address(to)], [1, 2], 10);
        learning.programs.ingress(&packet);
    }
    learning.found(&[]);
}

#[test]
fn a_peer_takes_places_for_its_own_services_only() {
    let Some(mut learning) = Learning::of("learnt::limit", four()) else { return };
    let [ends, _] = both();
    let most = u16::try_from(MAX_SERVICES_OF_A_PEER).expect("a port");
    let ports = 1000..1000 + most + 3;
    for port in ports.clone() {
        learning.relay(&Inner::segment(ends, [40_000, port], tcp::SYN));
    }
    // What is there still counts, and the other peer has places of its own, whoever began.
    learning.relay(&Inner::segment(ends, [40_000, 1000], tcp::SYN));
    learning.relay(&Inner::segment(back(ends), [40_000, 22], tcp::SYN));
    learning.relay(&Inner::segment(back(ends), [7, 40_001], SYN_ACK));
    let usage = learning.programs.loaded().usage().expect("maps");
    assert_eq!((usage.at_limit, usage.lost), ([1].into(), 0));
    assert_eq!(usage.uses.len(), usize::from(most) + 3);
    let packets = |beginner, other, service| {
        usage.uses.get(&UseKey { beginner, other, service }).map(|found| found.packets)
    };
    assert_eq!(packets(1, 2, OTHERS), Some(3));
    assert_eq!(packets(1, 2, TCP + 1000), Some(2));
    assert_eq!(packets(2, 1, TCP + 22), Some(1));
    assert_eq!(packets(1, 2, TCP + 7), Some(1));
}

#[test]
fn what_has_no_room_counts_for_its_pair() {
    // One peer more than can take all their places.
    let peers = u8::try_from(MAX_SERVICES / MAX_SERVICES_OF_A_PEER).expect("few peers") + 1;
    let of_peer = |number: u8| format!("10.3.2.{}", number + 1);
    let everybody =
        (1..=peers).map(|number| peer(number.into(), &[&of_peer(number)], &[], &["10.3.2.0/24"]));
    let Some(mut learning) = Learning::of("learnt::full", relay(everybody.collect())) else {
        return;
    };
    let most = u16::try_from(MAX_SERVICES_OF_A_PEER).expect("a port");
    for number in 1..=peers {
        let to = if number == 1 { 2 } else { 1 };
        let ends = [number, to].map(|number| address(&of_peer(number)));
        for port in 1..=most {
            learning.relay(&Inner::segment(ends, [40_000, port], tcp::SYN));
        }
    }
    let usage = learning.programs.loaded().usage().expect("maps");
    let last = UseKey { beginner: peers.into(), other: 1, service: OTHERS };
    assert_eq!(usage.uses[&last].packets, u64::from(most));
    assert_eq!(usage.uses.len() as u64, MAX_SERVICES + 1);
    assert_eq!((usage.at_limit.len(), usage.lost), (usize::from(peers) - 1, 0));
}

#[test]
fn learning_goes_on_across_policies_until_it_ends_and_a_slot_is_forgotten_with_its_peer() {
    scenario(skip::TUN, || {
        let bed = Bed::make("learnt-policies")?;
        let host = TunHost::up(&bed, &four())?;
        let [ends, _] = both();
        let connect = |port| host.passes(&Inner::segment(ends, [40_000, port], tcp::SYN));
        let usage = || host.enter(Datapath::usage);
        ensure!(connect(1)? && usage()?.is_none(), "nothing is learnt while it is off");

        let (in_force, slots) = &host.in_force;
        let observed = host.observe()?;
        host.enter(|datapath| datapath.start_learning((in_force, slots), &observed, false))?;
        ensure!(host.observe()?.learns() && connect(2)?);
        let since = usage()?.context("maps")?.since_ns;
        // Another policy.
        let mut other = four();
        other.peers[3].allowed_ips = vec!["10.3.2.2/32".parse()?];
        host.switch(&other)?;
        ensure!(host.observe()?.learns() && connect(3)? && connect(2)?);
        let learnt = usage()?.context("maps")?;
        let packets: Vec<_> =
            learnt.uses.iter().map(|(key, found)| (key.service, found.packets)).collect();
        ensure!(packets == [(TCP + 2, 2), (TCP + 3, 1)], "{learnt:?}");
        ensure!(learnt.since_ns == since && learnt.until_ns.is_none());

        // Its key is another one, and so it is another peer, in the lowest free slot.
        other.peers[1] = peer(9, &["10.3.2.3", "fd00::3:2:3"], &[], &["10.3.2.2/32"]);
        host.switch(&other)?;
        ensure!(connect(4)?);
        other.peers[1] = peer(10, &["10.3.2.3", "fd00::3:2:3"], &[], &["10.3.2.2/32"]);
        host.switch(&other)?;
        let learnt = usage()?.context("maps")?;
        let left: Vec<_> = learnt.uses.keys().map(|key| (key.other, key.service)).collect();
        ensure!(left == [(5, TCP + 4)], "of the slot that is free: {left:?}");
        ensure!(connect(5)?);

        let (compiled, slots) = host.compile(&other)?;
        let observed = host.observe()?;
        host.enter(|datapath| datapath.stop_learning((&compiled, &slots), &observed))?;
        ensure!(!host.observe()?.learns() && connect(6)?);
        let kept = usage()?.context("maps")?;
        ensure!(kept.uses.len() == 2 && kept.until_ns > Some(since), "{kept:?}");

        let observed = host.observe()?;
        host.enter(|datapath| datapath.start_learning((&compiled, &slots), &observed, true))?;
        let fresh = usage()?.context("maps")?;
        ensure!(fresh.uses.is_empty() && fresh.since_ns > since, "{fresh:?}");
        Ok(())
    });
}

/// Peer 1 may begin everything with peer 2, which is in no list.
fn ruled() -> Relay {
    let all = Services::Ports { transport: Transport::Udp, first: 0, last: u16::MAX };
    let rule = Rule {
        from: vec![Selector::Peer(0)],
        to: vec![Selector::Peer(1)],
        services: vec![all],
        ..Rule::new("all".parse().expect("a name"))
    };
    let peers = vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &[]),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], &[]),
    ];
    Relay { rules: vec![rule], ..relay(peers) }
}

fn both() -> [[IpAddr; 2]; 2] {
    ENDS.map(|ends| ends.map(address))
}

fn back([from, to]: [IpAddr; 2]) -> [IpAddr; 2] {
    [to, from]
}

/// Beginner, other side, service.
type Key = (u32, u32, u32);

/// Programs that learn.
struct Learning {
    programs: ProgramRun,
}

impl Learning {
    fn of(test: &str, relay: Relay) -> Option<Self> {
        possible(test).then(|| Self { programs: ProgramRun::learning(relay) })
    }

    fn relay(&mut self, packet: &Inner) {
        assert_eq!(self.programs.ingress(packet).0, REDIRECT);
    }

    /// Checks that these are all uses, with the number of packets and of answers.
    fn found(&mut self, expected: &[(Key, u64, u64)]) -> BTreeMap<Key, Use> {
        let usage = self.programs.loaded().usage().expect("maps");
        let uses: BTreeMap<Key, Use> = usage
            .uses
            .into_iter()
            .map(|(key, found)| ((key.beginner, key.other, key.service), found))
            .collect();
        let found: Vec<_> =
            uses.iter().map(|(&key, found)| (key, found.packets, found.answers)).collect();
        assert_eq!(found, expected);
        assert!(usage.lost == 0 && usage.at_limit.is_empty() && usage.since_ns > 0);
        for found in uses.values() {
            assert!(usage.since_ns <= found.first_ns && found.bytes > 0, "{found:?}");
            // The latest time lags behind by a jiffy at most.
            assert!(found.last_ns + 20_000_000 > found.first_ns, "{found:?}");
        }
        uses
    }
}
