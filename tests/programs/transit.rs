//! The program on transit interfaces: what it passes up, and what it hands to the relay's own interface.

use std::{cell::RefCell, net::IpAddr};

use proptest::prelude::*;
use relay::datapath::{LoadedTransit, Packet, Run, TransitSettings};
use relay_common::{
    mesh::{GOSSIP_PORT, transit_interface},
    names::PASSED,
};
use relay_tests::{
    inner::Inner,
    program_run::{OK, REDIRECT, SHOT, address},
};

use crate::possible;

/// The relay's own interface, as the program is told.
const OWN: u32 = 77;
/// Test runs use the loopback interface.
const TRANSIT: u32 = 1;

const GOSSIP: u16 = GOSSIP_PORT;

/// Two relays.
const RELAYS: [&str; 2] = ["fd12:3456:789a::2", "fd12:3456:789a::1"];

/// The program, if this machine can load it.
fn transit(test: &str, own_interface: u32) -> Option<LoadedTransit> {
    let network = "fd12:3456:789a::/64".parse().expect("a net");
    let settings = TransitSettings { own_interface, network };
    possible(test).then(|| LoadedTransit::load(&settings, None).expect("it loads"))
}

fn run(program: &mut LoadedTransit, inner: &Inner) -> Run {
    let packet = Packet { bytes: inner.bytes(), ..Packet::default() };
    program.run(&packet).expect("the packet runs")
}

fn assert_passes_up(program: &mut LoadedTransit, inner: &Inner) {
    let run = run(program, inner);
    assert_eq!((run.verdict, run.mark), (OK, PASSED), "{inner:?}");
    assert_eq!(run.packet, inner.bytes());
}

fn assert_goes_on(program: &mut LoadedTransit, inner: &Inner) {
    let run = run(program, inner);
    assert_eq!((run.verdict, transit_interface(run.mark)), (REDIRECT, Some(TRANSIT)), "{inner:?}");
    assert_eq!(run.packet, inner.bytes());
}

fn relays() -> [IpAddr; 2] {
    RELAYS.map(address)
}

#[test]
fn gossip_and_icmpv6_between_relays_are_passed_up_with_the_mark_of_the_fence() {
    let Some(mut program) = transit("transit::up", OWN) else { return };
    for inner in [
        Inner::datagram(relays(), [GOSSIP, GOSSIP], 400),
        Inner::datagram(relays(), [40_000, GOSSIP], 0),
        Inner::echo(relays(), true, 7),
        Inner::error(relays(), 2, Inner::udp(relays()[1], relays()[0], 20).bytes()),
    ] {
        assert_passes_up(&mut program, &inner);
    }
}

#[test]
fn fragments_of_gossip_are_passed_up() {
    let Some(mut program) = transit("transit::fragments", OWN) else { return };
    let whole = Inner::datagram(relays(), [GOSSIP, GOSSIP], 3000);
    for part in [0..1200, 1200..2400, 2400..3008] {
        assert_passes_up(&mut program, &whole.fragment(part, 9));
    }
    let other = Inner::datagram(relays(), [GOSSIP, 53], 3000);
    assert_goes_on(&mut program, &other.fragment(0..1200, 9));
    let tcp = Inner::segment(relays(), [40_000, 22], 2);
    assert_goes_on(&mut program, &tcp.fragment(8..20, 9));
}

#[test]
fn everything_else_goes_to_the_relays_own_interface_and_says_where_it_came_from() {
    let Some(mut program) = transit("transit::on", OWN) else { return };
    let [one, other] = relays();
    let peers = ["fd00::3:2:2", "fd00::3:2:3"].map(address);
    let peers_v4 = ["10.3.2.2", "10.3.2.3"].map(address);
    for inner in [
        // What the host would answer, if it came up.
        Inner::datagram(relays(), [GOSSIP, 53], 20),
        Inner::segment(relays(), [40_000, 22], 2),
        Inner::datagram(relays(), [GOSSIP, GOSSIP], 20).with_destination_options(),
        // One end is no relay.
        Inner::datagram([one, peers[0]], [GOSSIP, GOSSIP], 20),
        Inner::datagram([peers[0], other], [GOSSIP, GOSSIP], 20),
        Inner::echo([peers[0], other], true, 7),
        Inner::datagram(peers, [GOSSIP, GOSSIP], 20),
        Inner::datagram(peers_v4, [GOSSIP, GOSSIP], 40),
        Inner::echo(peers_v4, true, 7).with_byte(0, 0x00),
    ] {
        assert_goes_on(&mut program, &inner);
    }
}

#[test]
fn what_would_loop_is_dropped() {
    let Some(mut program) = transit("transit::loop", TRANSIT) else { return };
    let run = run(&mut program, &Inner::datagram(relays(), [1, 2], 20));
    assert_eq!(run.verdict, SHOT);
    assert_passes_up(&mut program, &Inner::datagram(relays(), [GOSSIP, GOSSIP], 20));
}

#[test]
fn whatever_the_bytes_a_packet_is_passed_up_only_if_it_is_for_the_relay() {
    let Some(program) = transit("transit::garbage", OWN) else { return };
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() };
    let program = RefCell::new(program);
    let near = Inner::datagram(relays(), [GOSSIP, GOSSIP], 40).bytes().to_vec();
    // One of gossip, with bytes that differ, or nothing like it.
    let changed = (proptest::collection::vec((0..near.len(), any::<u8>()), 0..4)).prop_map({
        move |changes| {
            let mut bytes = near.clone();
            changes.iter().for_each(|&(at, value)| bytes[at] = value);
            bytes
        }
    });
    let random = proptest::collection::vec(any::<u8>(), 60..200);
    proptest!(config, |(bytes in prop_oneof![changed, random])| {
        let packet = Packet { bytes: &bytes, ..Packet::default() };
        let run = program.borrow_mut().run(&packet).expect("the packet runs");
        prop_assert_eq!(&run.packet, &bytes);
        if is_for_relay(&bytes) {
            prop_assert_eq!((run.verdict, run.mark), (OK, PASSED));
        } else {
            prop_assert_eq!((run.verdict, transit_interface(run.mark)), (REDIRECT, Some(TRANSIT)));
        }
    });
}

/// The plain reading of the rules, for packets without a second extension header.
fn is_for_relay(bytes: &[u8]) -> bool {
    let network = &relays().map(|relay| match relay {
        IpAddr::V6(relay) => relay.octets(),
        IpAddr::V4(_) => unreachable!("they are of IPv6"),
    })[0][..8];
    let between = bytes[0] >> 4 == 6 && &bytes[8..16] == network && &bytes[24..32] == network;
    let is_gossip = |at: usize| bytes[at + 2..at + 4] == GOSSIP.to_be_bytes();
    let is_later = bytes[42] != 0 || bytes[43] >= 8;
    between
        && match bytes[6] {
            58 => true,
            17 => is_gossip(40),
            44 if bytes[40] == 17 => is_later || is_gossip(48),
            _ => false,
        }
}
