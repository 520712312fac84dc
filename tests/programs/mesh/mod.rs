//! A relay in a mesh: what it makes of packets of peers that are at home at other relays, and of what
//! these send.

mod admitted;
mod crossing;
mod flows;
mod moves;
mod tried;

pub(crate) use tried::meshed;

use relay::datapath::Run;
use relay_common::mesh::Home;
use relay_tests::{
    inner::Inner,
    program_run::{Other, ProgramRun, REDIRECT, SHOT, address},
};

use crate::{four, possible};

/// The relay's own interface: test runs use that of loopback.
const OWN: u32 = 1;

/// The policy of [`four`] in a mesh, if this machine can load the programs. Nobody is at home anywhere.
fn site(test: &str) -> Option<ProgramRun> {
    possible(test).then(|| ProgramRun::in_mesh(four(), 0, false))
}

fn udp(from: &str, to: &str) -> Inner {
    Inner::udp(address(from), address(to), 40)
}

/// Makes another relay, or this one, the home of peers.
fn settle(programs: &mut ProgramRun, slots: &[u32], other: Option<Other>) {
    let home = other.map_or(Home::HERE, home_at);
    for &slot in slots {
        programs.loaded().set_home(slot, home).expect("the homes");
    }
}

fn home_at(other: Other) -> Home {
    Home { interface: other.interface, slot: other.slot }
}

fn homes(programs: &mut ProgramRun) -> Vec<Home> {
    let peers = u32::try_from(programs.relay.peers.len()).expect("few peers");
    (0..=peers).map(|slot| programs.loaded().home(slot).expect("the homes")).collect()
}

/// Peers that have come home since this was last asked.
fn came_home(programs: &mut ProgramRun) -> Vec<u32> {
    programs.loaded().moved().expect("the ring")
}

/// The packet leaves by this interface with one hop less, counted as one from the one slot to the
/// other. Nobody moves.
#[track_caller]
fn relays(
    programs: &mut ProgramRun,
    inner: &Inner,
    from: Option<Other>,
    way: u32,
    slots: [u32; 2],
) {
    let before = homes(programs);
    let run = passes(programs, inner, from, slots);
    assert_eq!((run.way, run.mark), (way, 0), "{inner:?}");
    assert_eq!((homes(programs), came_home(programs)), (before, vec![]));
}

/// The packet passes, wherever it leaves.
#[track_caller]
fn passes(programs: &mut ProgramRun, inner: &Inner, from: Option<Other>, slots: [u32; 2]) -> Run {
    let (run, moved) = programs.moved(|programs| programs.arrive(inner, from));
    assert_eq!((run.verdict, moved), (REDIRECT, counted(inner, 1, slots)), "{inner:?}");
    assert_eq!(run.packet, inner.clone().with_ttl(63).bytes());
    run
}

/// What so many packets from one slot to another move.
fn counted(inner: &Inner, packets: usize, [from, to]: [u32; 2]) -> Vec<String> {
    let bytes = packets * inner.bytes().len();
    let received = [format!("{from} rx_packets +{packets}"), format!("{from} rx_bytes +{bytes}")];
    let sent = [format!("{to} tx_packets +{packets}"), format!("{to} tx_bytes +{bytes}")];
    if from < to { [received, sent].concat() } else { [sent, received].concat() }
}

/// The packet is dropped without an answer, which moves this counter alone. Nobody moves.
#[track_caller]
fn drops(programs: &mut ProgramRun, inner: &Inner, from: Option<Other>, counter: &str) {
    let before = homes(programs);
    let (run, moved) = programs.moved(|programs| programs.arrive(inner, from));
    assert_eq!((run.verdict, moved), (SHOT, vec![format!("{counter} +1")]), "{inner:?}");
    assert_eq!((homes(programs), came_home(programs)), (before, vec![]));
}

/// The packet is dropped, which moves this counter, and an error leaves by this interface to its sender.
#[track_caller]
fn answers(programs: &mut ProgramRun, inner: &Inner, from: Option<Other>, way: u32, counter: &str) {
    let before = homes(programs);
    let (run, moved) = programs.moved(|programs| programs.arrive(inner, from));
    assert_eq!((run.verdict, moved), (REDIRECT, vec![format!("{counter} +1")]), "{inner:?}");
    assert_eq!((run.way, run.mark), (way, 0), "{inner:?}");
    let (source, destination) =
        if inner.bytes()[0] >> 4 == 4 { (12..16, 16..20) } else { (8..24, 24..40) };
    assert_eq!(run.packet[destination], inner.bytes()[source], "to the sender");
    assert!(run.packet.ends_with(&inner.bytes()[..inner.bytes().len().min(128)]), "quotes it");
    assert_eq!((homes(programs), came_home(programs)), (before, vec![]));
}

/// Addresses of peers 1 and 2, in each family.
const PAIRS: [[&str; 2]; 2] = [["10.3.2.2", "10.3.2.3"], ["fd00::3:2:2", "fd00::3:2:3"]];

#[test]
fn a_pair_at_home_here_is_relayed_as_without_a_mesh() {
    let Some(mut programs) = site("mesh::pair") else { return };
    settle(&mut programs, &[1, 2], None);
    for [one, other] in PAIRS {
        relays(&mut programs, &udp(one, other), None, OWN, [1, 2]);
        relays(&mut programs, &udp(other, one), None, OWN, [2, 1]);
    }
}

#[test]
fn to_a_peer_at_home_elsewhere_it_leaves_by_the_tunnel_and_counts_for_that_relay() {
    let Some(mut programs) = site("mesh::elsewhere") else { return };
    let [first, second] = [programs.other(0), programs.other(1)];
    settle(&mut programs, &[1], None);
    for other in [first, second] {
        settle(&mut programs, &[2], Some(other));
        for [from, to] in PAIRS {
            relays(&mut programs, &udp(from, to), None, other.interface, [1, other.slot]);
        }
        // A network behind the peer, and what the fast path leaves.
        let [_, [from, to]] = PAIRS;
        let options = udp(from, to).with_destination_options();
        for inner in [udp("10.3.2.2", "192.168.7.9"), options] {
            relays(&mut programs, &inner, None, other.interface, [1, other.slot]);
        }
    }
}

#[test]
fn to_a_peer_that_no_relay_knows_it_leaves_here() {
    let Some(mut programs) = site("mesh::unknown") else { return };
    settle(&mut programs, &[1], None);
    for [from, to] in PAIRS {
        relays(&mut programs, &udp(from, to), None, OWN, [1, 2]);
    }
    assert_eq!(programs.loaded().home(2).expect("the homes"), Home::UNKNOWN);
}

#[test]
fn the_policy_decides_before_the_way() {
    let Some(mut programs) = site("mesh::policy") else { return };
    let other = programs.other(0);
    settle(&mut programs, &[1, 3], None);
    settle(&mut programs, &[2, 4], Some(other));
    answers(&mut programs, &udp("10.3.2.2", "10.3.2.5"), None, OWN, "1 not_in_destination_list");
    answers(&mut programs, &udp("10.3.2.4", "10.3.2.3"), None, OWN, "3 not_in_destination_list");
    answers(&mut programs, &udp("10.3.2.2", "10.3.2.3").with_ttl(1), None, OWN, "1 ttl_exceeded");
    let big = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 1400).with_dont_fragment();
    answers(&mut programs, &big, None, OWN, "1 too_big");
}

#[test]
fn packets_of_an_aggregate_count_for_the_other_relay_too() {
    let Some(mut programs) = site("mesh::aggregate") else { return };
    let other = programs.other(0);
    settle(&mut programs, &[1], None);
    settle(&mut programs, &[2], Some(other));
    let mut tcp = vec![0; 20 + 3000];
    tcp[12] = 0x50;
    let inner = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 6, &tcp);
    let ((verdict, _), moved) = programs.moved(|p| p.ingress_aggregate(&inner, (3, 1300)));
    let bytes = 3 * 40 + 3000;
    let slot = other.slot;
    let expected = [
        "1 rx_packets +3".to_owned(),
        format!("1 rx_bytes +{bytes}"),
        format!("{slot} tx_packets +3"),
        format!("{slot} tx_bytes +{bytes}"),
    ];
    assert_eq!((verdict, moved.as_slice()), (REDIRECT, expected.as_slice()));
}
