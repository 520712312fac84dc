//! The programs of a policy, run on single packets on this machine's kernel.

use std::net::IpAddr;

use relay::{
    datapath::{DatapathError, Direction, Loaded, Packet, Run},
    model::{Peer, PublicKey, Relay},
    policy::{Compiled, Sources, compile},
};
use relay_common::{
    PeerCounters, Reason, counters::UNATTRIBUTED_SLOT, mesh::arrived_on, names::MESH,
    verdict::Verdict,
};

use crate::inner::Inner;

/// `TC_ACT_UNSPEC`: continues with the next program, then with the stack.
pub const OK: u32 = u32::MAX;
/// `TC_ACT_SHOT`: dropped.
pub const SHOT: u32 = 2;
/// `TC_ACT_REDIRECT`: sent out of the interface that it arrived on.
pub const REDIRECT: u32 = 7;

/// Other relays of a mesh, and the interface to the first of them.
const RELAYS: u32 = 2;
const FIRST_TRANSIT: u32 = 11;

/// A policy with its loaded programs. Peer number n has slot n + 1.
pub struct ProgramRun {
    /// The policy, for the oracle.
    pub relay: Relay,
    /// Index of the interface to run on; 0 is the loopback interface.
    pub interface: u32,
    /// Its compiled form.
    pub compiled: Compiled,
    loaded: Loaded,
    relays: u32,
}

/// Another relay of a mesh: its slot, and the interface of the tunnel to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// Index of the interface.
    pub interface: u32,
    /// Slot.
    pub slot: u32,
}

/// A snapshot of all counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Traffic by slot, slot 0 first.
    pub traffic: Vec<PeerCounters>,
    /// Dropped packets by slot and reason.
    pub dropped: Vec<[u64; Reason::COUNT]>,
}

impl ProgramRun {
    /// Compiles and loads.
    pub fn new(relay: Relay) -> Self {
        Self::with_features(relay, 0)
    }

    /// The same with additional features of [`relay_common::names`].
    pub fn with_features(relay: Relay, features: u32) -> Self {
        Self::on_host(relay, &[], features)
    }

    /// The same with programs that count what peers use of each other.
    pub fn learning(relay: Relay) -> Self {
        Self::load(relay, &[], 0, |compiled, slots| Loaded::load_learning(compiled, 1, slots))
    }

    /// The same of a relay in a mesh, which learns or does not. Other relays have the slots behind those
    /// of the peers.
    pub fn in_mesh(relay: Relay, features: u32, learns: bool) -> Self {
        let programs = Self::load(relay, &[], MESH | features, |compiled, slots| {
            let slots = slots + RELAYS;
            if learns {
                Loaded::load_learning(compiled, 1, slots)
            } else {
                Loaded::load(compiled, 1, None, slots)
            }
        });
        Self { relays: RELAYS, ..programs }
    }

    /// Another relay of the mesh, by its number from 0.
    pub fn other(&self, number: u32) -> Other {
        assert!(number < self.relays, "{number}: there are {} other relays", self.relays);
        Other { interface: FIRST_TRANSIT + number, slot: self.peers() + 1 + number }
    }

    /// The same on a host with more addresses than the relay's.
    pub fn on_host(relay: Relay, host_addresses: &[IpAddr], features: u32) -> Self {
        Self::load(relay, host_addresses, features, |compiled, slots| {
            Loaded::load(compiled, 1, None, slots)
        })
    }

    fn load(
        relay: Relay,
        host_addresses: &[IpAddr],
        features: u32,
        load: impl FnOnce(&Compiled, u32) -> Result<Loaded, DatapathError>,
    ) -> Self {
        let slots: Vec<u32> = slots(&relay);
        let rules: Vec<u32> = (1..).take(relay.rules.len()).collect();
        let mut compiled =
            compile(&Sources { relay: &relay, host_addresses, slots: &slots }, &rules)
                .expect("the policy compiles");
        compiled.features |= features;
        let highest = slots.last().copied().unwrap_or(UNATTRIBUTED_SLOT);
        let loaded = load(&compiled, highest + 1)
            .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
        Self { relay, interface: 0, compiled, loaded, relays: 0 }
    }

    /// Runs the ingress program on a packet from a peer.
    pub fn ingress(&mut self, inner: &Inner) -> (u32, Vec<u8>) {
        self.run(Direction::Ingress, inner, 1, (0, 0))
    }

    /// Runs the ingress program on a packet from a peer, or from another relay.
    pub fn arrive(&mut self, inner: &Inner, from: Option<Other>) -> Run {
        let mark = from.map_or(0, |other| arrived_on(other.interface).expect("it fits"));
        let packet = Packet {
            bytes: inner.bytes(),
            interface: self.interface,
            ingress_interface: 1,
            mark,
            ..Packet::default()
        };
        self.loaded.run(Direction::Ingress, &packet).expect("the packet runs")
    }

    /// Runs the ingress program on an aggregate of segments with payloads of `gso_size` bytes.
    pub fn ingress_aggregate(&mut self, inner: &Inner, gso: (u32, u32)) -> (u32, Vec<u8>) {
        self.run(Direction::Ingress, inner, 1, gso)
    }

    /// Runs the egress program on a packet that entered the host by this interface; 0 is a packet of
    /// the host itself.
    pub fn egress(&mut self, inner: &Inner, ingress_interface: u32) -> (u32, Vec<u8>) {
        self.run(Direction::Egress, inner, ingress_interface, (0, 0))
    }

    /// Probes the ingress program with a packet from a peer.
    pub fn ask(&mut self, inner: &Inner) -> Result<Verdict, Reason> {
        self.loaded.probe(self.interface, inner.bytes()).expect("an answer")
    }

    /// The programs and maps themselves.
    pub fn loaded(&mut self) -> &mut Loaded {
        &mut self.loaded
    }

    /// All counters.
    pub fn counts(&mut self) -> Counts {
        let slots = 0..=self.peers() + self.relays;
        let loaded = &mut self.loaded;
        Counts {
            traffic: slots.clone().map(|slot| loaded.traffic(slot).expect("counters")).collect(),
            dropped: slots.map(|slot| loaded.dropped(slot).expect("counters")).collect(),
        }
    }

    /// Dropped packets of a slot, by [`Reason::index`].
    pub fn dropped(&mut self, slot: u32) -> [u64; Reason::COUNT] {
        self.loaded.dropped(slot).expect("counters")
    }

    /// Runs `step` and returns the counters that it moved, as `slot field +n`.
    pub fn moved<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> (T, Vec<String>) {
        let before = self.counts();
        let result = step(self);
        (result, self.counts().since(&before))
    }

    fn peers(&self) -> u32 {
        u32::try_from(self.relay.peers.len()).expect("few peers")
    }

    fn run(
        &mut self,
        direction: Direction,
        inner: &Inner,
        ingress_interface: u32,
        (gso_segs, gso_size): (u32, u32),
    ) -> (u32, Vec<u8>) {
        let packet = Packet {
            bytes: inner.bytes(),
            gso_size,
            gso_segs,
            interface: self.interface,
            ingress_interface,
            mark: 0,
        };
        let run = self.loaded.run(direction, &packet).expect("the packet runs");
        (run.verdict, run.packet)
    }
}

impl Counts {
    fn since(&self, before: &Self) -> Vec<String> {
        let mut moved = Vec::new();
        for (slot, (now, then)) in self.traffic.iter().zip(&before.traffic).enumerate() {
            for (name, now, then) in [
                ("rx_packets", now.rx_packets, then.rx_packets),
                ("rx_bytes", now.rx_bytes, then.rx_bytes),
                ("tx_packets", now.tx_packets, then.tx_packets),
                ("tx_bytes", now.tx_bytes, then.tx_bytes),
                ("host_rx_packets", now.host_rx_packets, then.host_rx_packets),
                ("host_rx_bytes", now.host_rx_bytes, then.host_rx_bytes),
                ("host_tx_packets", now.host_tx_packets, then.host_tx_packets),
                ("host_tx_bytes", now.host_tx_bytes, then.host_tx_bytes),
            ] {
                if now != then {
                    moved.push(format!("{slot} {name} +{}", now - then));
                }
            }
        }
        for (slot, (now, then)) in self.dropped.iter().zip(&before.dropped).enumerate() {
            for reason in Reason::ALL {
                let at = reason.index() as usize;
                if now[at] != then[at] {
                    moved.push(format!("{slot} {} +{}", reason.label(), now[at] - then[at]));
                }
            }
        }
        moved
    }
}

/// A relay at 10.3.2.1/24 and fd00::3:2:1/120 with these peers.
pub fn relay(peers: Vec<Peer>) -> Relay {
    Relay {
        addresses: vec![
            "10.3.2.1/24".parse().expect("a net"),
            "fd00::3:2:1/120".parse().expect("a net"),
        ],
        private_key_file: "private.key".into(),
        peers,
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

/// A peer, from texts.
pub fn peer(number: u32, addresses: &[&str], routes: &[&str], allowed_ips: &[&str]) -> Peer {
    let mut key = [1; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    Peer {
        addresses: addresses.iter().map(|a| a.parse().expect("an address")).collect(),
        routes: routes.iter().map(|net| net.parse().expect("a prefix")).collect(),
        allowed_ips: allowed_ips.iter().map(|net| net.parse().expect("a prefix")).collect(),
        ..Peer::new(format!("p{number}").parse().expect("a name"), PublicKey::from_bytes(key))
    }
}

/// The slots of a [`ProgramRun`]: from 1, in the order of the peers.
pub fn slots(relay: &Relay) -> Vec<u32> {
    (1..).take(relay.peers.len()).collect()
}

/// An address.
pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
