//! Packets through two relays, on TUN interfaces with the programs.
//!
//! ```text
//!   peer 1 ─► relay0 ─► relay_ingress ─► relay0-b          relay0-a ─► relay_transit ┐
//!                           relay a         └─── the test carries ───┘               ▼
//!                                                    relay b          relay0 ◄─ relay_ingress
//! ```

use anyhow::{Context as _, Result, ensure};
use aya::programs::TcAttachType;
use proptest::test_runner::{RngAlgorithm, TestRng};
use relay::{
    datapath::{Direction, LoadedTransit, TransitSettings},
    model::Relay,
};
use relay_bench::measure::layer::{INTERFACE, attach};
use relay_common::mesh::Home;
use relay_tests::{
    Namespace, deadline,
    inner::Inner,
    program_run::{Other, ProgramRun, address, peer, relay},
    skip,
    tun::Tun,
};

use super::{PAIRS, counted, udp};
use crate::differential;

/// Packets of each family.
const PACKETS: usize = 2000;
/// Our end of a tunnel to another relay.
pub(super) struct Tunnel {
    pub(super) tun: Tun,
    pub(super) index: u32,
    _program: LoadedTransit,
}

impl Tunnel {
    /// A tunnel beside the interface of a relay, whose addresses are in this network.
    pub(super) fn make(place: &Namespace, own: &str, other: &str, network: &str) -> Result<Self> {
        let name = format!("{own}-{other}");
        let tun = Tun::create(place, &name)?;
        place.set_sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), 1)?;
        place.ip_batch(&format!("link set {name} mtu 1420 up\n"))?;
        let settings =
            TransitSettings { own_interface: index_of(place, own)?, network: network.parse()? };
        let mut program = LoadedTransit::load(&settings, None)?;
        attach(place, &name, program.program()?, TcAttachType::Ingress)?;
        Ok(Self { tun, index: index_of(place, &name)?, _program: program })
    }
}

fn index_of(place: &Namespace, interface: &str) -> Result<u32> {
    let text = place.run("ip", &["-json", "link", "show", "dev", interface])?;
    let links: serde_json::Value = serde_json::from_str(&text)?;
    let index = links[0]["ifindex"].as_u64().with_context(|| format!("{interface}: {links}"))?;
    Ok(index.try_into()?)
}

/// A relay with its interface, and the end of a tunnel if it is in a mesh.
struct Station {
    own: Tun,
    tunnel: Option<Tunnel>,
    programs: ProgramRun,
    _place: Namespace,
}

const NETWORK: &str = "fd12:3456:789a::/64";

impl Station {
    /// A relay without a mesh.
    fn alone(role: &str, policy: Relay) -> Result<Self> {
        Self::make(role, ProgramRun::new(policy), None)
    }

    /// A relay in a mesh with this other one, where this peer is at home; the other peer is here.
    fn beside(role: &str, other: &str, policy: Relay, elsewhere: u32) -> Result<Self> {
        let mut station = Self::make(role, ProgramRun::in_mesh(policy, 0, false), Some(other))?;
        let Other { slot, .. } = station.other();
        let interface = station.tunnel().index;
        let programs = station.programs.loaded();
        programs.set_home(elsewhere, Home { interface, slot })?;
        programs.set_home(3 - elsewhere, Home::HERE)?;
        Ok(station)
    }

    fn make(role: &str, mut programs: ProgramRun, other: Option<&str>) -> Result<Self> {
        let place = Namespace::create(role)?;
        let own = Tun::create(&place, INTERFACE)?;
        // The host sends nothing of its own.
        place.set_sysctl(&format!("ipv6/conf/{INTERFACE}/disable_ipv6"), 1)?;
        place.ip_batch(&format!("link set {INTERFACE} mtu 1420 up\n"))?;
        for (direction, hook) in
            [(Direction::Ingress, TcAttachType::Ingress), (Direction::Egress, TcAttachType::Egress)]
        {
            attach(&place, INTERFACE, programs.loaded().program(direction)?, hook)?;
        }
        let tunnel = other.map(|other| Tunnel::make(&place, INTERFACE, other, NETWORK));
        Ok(Self { own, tunnel: tunnel.transpose()?, programs, _place: place })
    }

    fn tunnel(&self) -> &Tunnel {
        self.tunnel.as_ref().expect("it is in a mesh")
    }

    fn other(&self) -> Other {
        self.programs.other(0)
    }
}

/// The next packet of a TUN.
fn next(tun: &Tun) -> Result<Vec<u8>> {
    deadline::until("a packet", || tun.read())
}

fn run(role: &str, work: impl FnOnce() -> Result<()>) {
    if !skip::possible(&format!("mesh::crossing::{role}"), skip::TUN) {
        return;
    }
    if let Err(error) = work() {
        panic!("{error:?}");
    }
}

/// Peers 1 and 2 with these lists, 1 at home at the first relay and 2 at the second.
fn two(role: &str, lists: &[&str]) -> Result<[Station; 2]> {
    let policy = pair(lists);
    let [a, b] = ["a", "b"].map(|name| format!("{role}-{name}"));
    Ok([Station::beside(&a, "b", policy.clone(), 2)?, Station::beside(&b, "a", policy, 1)?])
}

fn pair(lists: &[&str]) -> Relay {
    relay(vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], lists),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], lists),
    ])
}

const EACH_OTHER: [&str; 2] = ["10.3.2.2/31", "fd00::3:2:2/127"];
const AND_THE_RELAY: [&str; 2] = ["10.3.2.0/24", "fd00::3:2:0/120"];

#[test]
fn a_packet_arrives_with_two_hops_less_and_is_counted_once_at_each() {
    run("arrives", || {
        let [mut a, mut b] = two("crossing", &EACH_OTHER)?;
        for [one, other] in PAIRS {
            let inner = udp(one, other);
            let (way, slot) = (a.other(), b.other().slot);
            let (own, tunnel) = (&a.own, &a.tunnel.as_ref().expect("a tunnel").tun);
            let (between, moved) = a.programs.moved(|_| -> Result<_> {
                own.write(inner.bytes())?;
                next(tunnel)
            });
            let between = between?;
            ensure!(between == inner.clone().with_ttl(63).bytes(), "{between:02x?}");
            ensure!(moved == counted(&inner, 1, [1, way.slot]), "{moved:?}");
            let (own, tunnel) = (&b.own, &b.tunnel.as_ref().expect("a tunnel").tun);
            let (arrived, moved) = b.programs.moved(|_| -> Result<_> {
                tunnel.write(&between)?;
                next(own)
            });
            ensure!(arrived? == inner.clone().with_ttl(62).bytes(), "{one} → {other}");
            ensure!(moved == counted(&inner, 1, [slot, 2]), "{moved:?}");
        }
        Ok(())
    });
}

#[test]
fn an_error_of_the_second_relay_reaches_the_sender() {
    run("error", || {
        // From the relay's address, or where the packet was going, if the sender does not list it.
        for lists in [EACH_OTHER, AND_THE_RELAY] {
            let [a, b] = two("crossing-error", &lists)?;
            for [one, other] in PAIRS {
                let inner = udp(one, other).with_ttl(2);
                a.own.write(inner.bytes())?;
                let between = next(&a.tunnel().tun)?;
                b.tunnel().tun.write(&between)?;
                let error = next(&b.tunnel().tun)?;
                a.tunnel().tun.write(&error)?;
                let error = next(&a.own)?;
                let is_v4 = error[0] >> 4 == 4;
                let (source, destination) = if is_v4 { (12..16, 16..20) } else { (8..24, 24..40) };
                ensure!(error[destination] == inner.bytes()[source.clone()], "to the sender");
                let icmp = if is_v4 { (error[20], 11) } else { (error[40], 3) };
                ensure!(icmp.0 == icmp.1, "{error:02x?}");
                let last = usize::from(error[source.end - 1]);
                ensure!(last == if lists == EACH_OTHER { 3 } else { 1 }, "from {last}");
                ensure!(error.ends_with(&between), "quotes it");
            }
        }
        Ok(())
    });
}

#[test]
fn a_packet_does_not_circle_between_relays_that_take_each_other_for_its_way() {
    run("circle", || {
        let policy = pair(&EACH_OTHER);
        let a = Station::beside("crossing-circle-a", "b", policy.clone(), 2)?;
        let mut b = Station::beside("crossing-circle-b", "a", policy, 2)?;
        let way_to_a = Home { interface: b.tunnel().index, slot: b.other().slot };
        b.programs.loaded().set_home(1, way_to_a)?;
        for [one, other] in PAIRS {
            // By the fast path, and by the whole decision.
            let mut packets = vec![udp(one, other)];
            if one.contains(':') {
                packets.push(udp(one, other).with_destination_options());
            }
            for inner in packets {
                a.own.write(inner.bytes())?;
                let between = next(&a.tunnel().tun)?;
                let tunnel = &b.tunnel.as_ref().expect("a tunnel").tun;
                let (dropped, moved) = b.programs.moved(|programs| -> Result<()> {
                    let before = programs.counts();
                    tunnel.write(&between)?;
                    deadline::until("the drop", || Ok((programs.counts() != before).then_some(())))
                });
                dropped?;
                ensure!(moved == ["1 not_here +1"], "{moved:?}");
                for (place, tun) in [("back", tunnel), ("to the peer", &b.own)] {
                    ensure!(tun.read()?.is_none(), "it leaves {place}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn two_relays_make_of_a_packet_what_one_makes_of_it() {
    run("random", || {
        let one = Station::alone("crossing-one", pair(&EACH_OTHER))?;
        let both = two("crossing-random", &EACH_OTHER)?;
        let mut delivered = 0;
        let mut marker = 0u64;
        for [from, to] in PAIRS {
            let seed: [u8; 32] = std::array::from_fn(|_| 1);
            let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            for number in 0..PACKETS {
                let packet = differential::packet(&mut random, from, to);
                marker += 1;
                let by_one = delivered_by(&packet, marker, &one.own, &one.own, None)?;
                let [a, b] = &both;
                let tunnels = Some([&a.tunnel().tun, &b.tunnel().tun]);
                let by_two = delivered_by(&packet, marker, &a.own, &b.own, tunnels)?;
                let expected: Vec<_> = by_one.iter().filter_map(|one| a_hop_on(one)).collect();
                ensure!(by_two == expected, "packet {number} {from} → {to}: {packet:02x?}");
                delivered += by_two.len();
            }
        }
        ensure!(delivered > PACKETS / 4, "{delivered} delivered");
        Ok(())
    });
}

/// Writes a packet and one that passes to `from`, carries what leaves by the first tunnel into the
/// second, and returns what leaves to the destination before the one that passes.
fn delivered_by(
    packet: &[u8],
    marker: u64,
    from: &Tun,
    to: &Tun,
    tunnels: Option<[&Tun; 2]>,
) -> Result<Vec<Vec<u8>>> {
    let marker = marker.to_be_bytes();
    let [one, other] = PAIRS[0].map(address);
    let passes = Inner::new(one, other, 253, &marker);
    // Too short for its version: the kernel rejects it.
    let _taken = from.write(packet);
    from.write(passes.bytes())?;
    let destination = if packet[0] >> 4 == 4 { 16..20 } else { 24..40 };
    let mut delivered = Vec::new();
    deadline::until("the packet that passes", || {
        if let Some([here, there]) = tunnels {
            while let Some(left) = here.read()? {
                there.write(&left)?;
            }
        }
        while let Some(left) = to.read()? {
            if left.ends_with(&marker) && left[9] == 253 && left[0] == 0x45 {
                return Ok(Some(()));
            }
            // Not an error to the sender.
            if left.get(destination.clone()) == packet.get(destination.clone()) {
                delivered.push(left);
            }
        }
        Ok(None)
    })?;
    Ok(delivered)
}

/// The packet behind the next router; `None` if it gets no further.
fn a_hop_on(packet: &[u8]) -> Option<Vec<u8>> {
    let mut packet = packet.to_vec();
    let ttl = if packet[0] >> 4 == 4 { 8 } else { 7 };
    packet[ttl] = packet[ttl].checked_sub(1).filter(|left| *left > 0)?;
    if ttl == 8 {
        // RFC 1624, equation 3.
        let sum = u32::from(u16::from_be_bytes([packet[10], packet[11]])) + 0x100;
        let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).ok()?;
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    Some(packet)
}
