//! WireGuard's own scenarios, through the relay: many connections at once, roaming, new keys, and
//! WireGuard inside the tunnel.

mod time;

use std::{net::SocketAddr, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use relay_tests::{
    Family, Lab, Peer, Site, deadline, scenario,
    skip::{self, Need},
    traffic::{Echo, Streams, tcp::Connection},
};

use crate::watch::Watch;

/// TCP connections of each family that are open at once.
const CONNECTIONS: usize = 25;

/// Bytes in each direction of a connection.
const BYTES: usize = 8 * 1024;

/// The tunnel between two peers.
const INNER: &str = "inner0";

/// Where each end of it listens.
const INNER_PORT: u16 = 51_000;

/// What a peer without WireGuard in its kernel needs.
const USERSPACE: &[Need] = &[Need::Tun, Need::WireGuardGo];

/// Datagrams that may be in flight while an endpoint moves: those of half a second.
const IN_FLIGHT: u64 = 50;

#[test]
fn fifty_connections_of_both_families_pass_at_once_and_are_counted() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        let mut connections = Vec::new();
        for family in Family::ALL {
            for _ in 0..CONNECTIONS {
                connections.push(Connection::between(a, b, family)?);
            }
        }
        let exchanges: Vec<_> = connections
            .into_iter()
            .map(|connection| thread::spawn(move || connection.exchange(BYTES)))
            .collect();
        for exchange in exchanges {
            exchange.join().map_err(|_panic| anyhow!("an exchange panicked"))??;
        }
        let passed = watch.passed(a, b)?;
        let least = (2 * CONNECTIONS * BYTES) as u64;
        ensure!(passed.there.bytes > least && passed.back.bytes > least, "{passed:?}");
        Ok(())
    });
}

#[test]
fn a_peer_that_roams_goes_on_with_all_that_it_has_open() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        roam(&lab)
    });
}

#[test]
fn a_peer_by_wireguard_go_is_relayed_counted_and_roams() {
    scenario(&[skip::LAB, USERSPACE].concat(), || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        let _process = a.connect_by_wireguard_go()?;
        for (from, to) in [(a, b), (b, a)] {
            for family in Family::ALL {
                Echo::between(from, to, family)?.reach()?;
                let connection = Connection::between(from, to, family)?;
                connection.exchange(BYTES)?;
            }
        }
        let passed = watch.passed(a, b)?;
        let least = (4 * BYTES) as u64;
        ensure!(passed.there.bytes > least && passed.back.bytes > least, "{passed:?}");
        roam(&lab)
    });
}

/// The first peer goes on with its session and all that it has open when its endpoint changes twice.
fn roam(lab: &Lab) -> Result<()> {
    let [a, b] = lab.first()?;
    let key = lab.site().private_key(a.name())?.public_key().to_string();
    let endpoint = || -> Result<SocketAddr> {
        let endpoints = lab.relay().wg(&lab.interface()?, "endpoints")?;
        Ok(endpoints.get(&key).context("its endpoint")?.parse()?)
    };
    let dropped = lab.relay().ledger()?;
    let (from, to) = (a.name(), b.name());
    let streams = Streams::start(lab, &[(from, to), (to, from)])?;
    let connection = Connection::between(a, b, Family::V6)?;
    streams.pass_or_not(true)?;
    let handshake = a.latest_handshake()?;
    let mut before = endpoint()?;
    for (host, port) in [("198.51.100.201", 40_001), ("198.51.100.202", 40_002)] {
        move_to(lab, a, host, port)?;
        deadline::until("the relay to know the new endpoint", || {
            Ok((endpoint()? != before).then_some(()))
        })?;
        before = endpoint()?;
        ensure!(before.ip().to_string() == host, "the endpoint is {before}, not at {host}");
        streams.pass_or_not(true)?;
    }
    ensure!(a.latest_handshake()? == handshake, "it needed a new session");
    connection.exchange(BYTES)?;
    for flown in streams.stop()? {
        let lost = flown.sent - flown.received;
        ensure!(lost <= 2 * IN_FLIGHT && flown.repeated == 0, "{flown:?}");
    }
    let moved = lab.relay().ledger()?.since(&dropped)?.to_string();
    ensure!(!moved.contains("dropped"), "moved:\n{moved}");
    Ok(())
}

/// The policy sees one UDP flow between two peers.
#[test]
fn wireguard_between_two_peers_passes_inside_the_tunnel() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let ends = lab.first::<2>()?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            let keys = ends.map(inner_tunnel);
            let [key_a, key_b] = keys;
            let keys = [key_a?, key_b?];
            for (place, peer) in ends.into_iter().enumerate() {
                let other = SocketAddr::new(ends[1 - place].address(family), INNER_PORT);
                let arguments = ["set", INNER, "peer", &keys[1 - place], "endpoint"];
                let more = [&other.to_string(), "allowed-ips", "10.77.0.0/24,fd77::/64"];
                peer.namespace().run("wg", &[&arguments[..], &more].concat())?;
                peer.namespace().ip_batch(&format!(
                    "address add 10.77.0.{0}/24 dev {INNER}\n\
                     address add fd77::{0}/64 dev {INNER} nodad\n",
                    place + 1
                ))?;
            }
            let from = ends[0].namespace();
            for [source, target] in [["10.77.0.1", "10.77.0.2"], ["fd77::1", "fd77::2"]] {
                Echo::open(from, source.parse()?, target.parse()?)?.reach()?;
            }
            for peer in ends {
                peer.namespace().run("ip", &["link", "delete", INNER])?;
            }
            let passed = watch.passed(ends[0], ends[1])?;
            ensure!(passed.there.packets >= 3 && passed.back.packets >= 3, "{passed:?}");
        }
        Ok(())
    });
}

/// The peer's NAT gets another public address, and the peer sends from another port. Flows that its
/// router knows go on from the old ones, so it forgets them.
fn move_to(lab: &Lab, peer: &Peer, host: &str, port: u16) -> Result<()> {
    let router = peer.nat().namespace();
    lab.internet().run("ip", &["route", "replace", host, "dev", peer.name()])?;
    router.ip_batch(&format!(
        "address flush dev wan\naddress add {host}/32 dev wan\n\
         route replace 198.51.100.254/32 dev wan\nroute replace default via 198.51.100.254\n"
    ))?;
    let port = port.to_string();
    peer.namespace().run("wg", &["set", peer.name(), "listen-port", &port])?;
    Ok(())
}

/// Makes a peer's end, without its other end. Its public key.
fn inner_tunnel(peer: &Peer) -> Result<String> {
    let namespace = peer.namespace();
    let key = namespace.run("wg", &["genkey"])?;
    namespace.ip_batch(&format!("link add {INNER} mtu 1280 type wireguard\n"))?;
    let port = INNER_PORT.to_string();
    let arguments = ["set", INNER, "listen-port", &port, "private-key", "/proc/self/fd/0"];
    namespace.feed("wg", &arguments, &key)?;
    namespace.ip_batch(&format!("link set {INNER} up\n"))?;
    Ok(namespace.run("wg", &["show", INNER, "public-key"])?.trim().to_owned())
}
