//! Messages that the guard passes and drops.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay::model::PublicKey;
use relay_tests::{
    Family, Lab, Peer, deadline,
    guard::{
        bed::{self, Bed},
        message,
        tunnel::{self, Tunnel},
    },
    relay_host::UNDERLAY,
    scenario, schema,
    skip::{self, Need},
    traffic::Echo,
};

use super::{PORT, attached, await_seen, guarded, relay_key, seen, send, talk};

/// The relay's address on an IPv6 underlay, and the internet's next to it.
const UNDERLAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const INTERNET_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);

#[test]
fn every_message_of_kernel_wireguard_passes_from_either_side() {
    scenario(&[bed::NEEDS, &[Need::WireGuard]].concat(), || {
        let bed = Bed::make("guard-kernel")?;
        let relay = Tunnel::kernel(&bed.relay, "relay0")?;
        let peer = Tunnel::kernel(&bed.other, "tunnel")?;
        tunnel::talk(&bed, &relay, &peer)
    });
}

#[test]
fn peers_connect_over_both_underlays_and_forged_handshakes_never_arrive() {
    scenario(skip::LAB, || {
        let mut site = guarded(&[])?;
        let [a, b] = site.first()?;
        site.set(&b, "endpoint", format!("[{UNDERLAY_V6}]:{PORT}"))?;
        let lab = Lab::build(site)?;
        let (pa, pb) = (lab.peer(&a)?, lab.peer(&b)?);
        // First, as the host's addresses are part of the policy.
        dial_over_v6(&lab, pb)?;
        lab.relay().up()?;
        count_arrivals(&lab)?;
        lab.connect([pa, pb])?;
        let endpoint = lab.relay().wg("relay0", "endpoints")?;
        let key = lab.site().private_key(&b)?.public_key().to_string();
        ensure!(endpoint[&key].starts_with("[2001:db8:"), "{endpoint:?}");
        talk(pa, pb)?;

        ensure!(attached(&lab)? == "driver", "veth has XDP in its driver");
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 0, "{status:?}");
        let status = lab.relay().relay(&["status"])?.success("status")?;
        ensure!(status.contains("  guard: eth0 by driver\n"), "{status}");
        for outcome in ["bad_mac1", "malformed", "fragmented", "limited"] {
            ensure!(seen(&lab, outcome)? == 0, "{outcome} of a genuine peer");
        }
        ensure!(seen(&lab, "initiation")? >= 2 && seen(&lab, "data")? >= 2);
        let again = lab.up()?;
        ensure!(!again.changed, "{again:?}");

        let arrived = arrivals(&lab)?;
        let stranger = PublicKey::from_bytes([9; 32]);
        for relay in [UNDERLAY.parse()?, IpAddr::V6(UNDERLAY_V6)] {
            let before = seen(&lab, "bad_mac1")?;
            let forged = (0..50).map(|number| message::initiation(&stranger, number));
            send(lab.internet(), relay, forged)?;
            await_seen(&lab, "bad_mac1", before + 50)?;
        }
        let before = seen(&lab, "malformed")?;
        send(lab.internet(), UNDERLAY.parse()?, [vec![1; 148], vec![4, 0, 0, 0]])?;
        await_seen(&lab, "malformed", before + 2)?;
        talk(pa, pb)?;
        ensure!(arrivals(&lab)? == arrived, "forged initiations came past the guard");

        // Valid messages arrive from any source.
        let right = message::initiation(&relay_key(&lab)?, 1);
        send(lab.internet(), UNDERLAY.parse()?, [right])?;
        deadline::until("a valid initiation", || Ok((arrivals(&lab)? > arrived).then_some(())))?;
        Ok(())
    });
}

#[test]
fn a_source_over_its_limit_is_dropped_and_connected_peers_are_not() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[("initiations_per_second", 1), ("burst", 3)])?)?;
        let [a, b] = lab.first()?;
        let key = relay_key(&lab)?;
        let passed = seen(&lab, "initiation")?;
        let flood = (0..80).map(|number| message::initiation(&key, number));
        send(lab.internet(), UNDERLAY.parse()?, flood)?;
        deadline::until("all initiations at the guard", || {
            let dropped = seen(&lab, "limited")? + seen(&lab, "initiation_by_chance")?;
            Ok((seen(&lab, "initiation")? - passed + dropped >= 80).then_some(()))
        })?;
        ensure!(seen(&lab, "initiation")? >= passed + 3, "less than the burst came in");
        ensure!(seen(&lab, "limited")? > 0, "nothing was over the limit");
        talk(a, b)?;
        // Messages of unknown sessions, while all peers have sessions.
        for verb in ["status", "stats"] {
            let shown = lab.relay().relay(&[verb])?.success(verb)?;
            let lines: Vec<_> =
                shown.lines().filter(|line| line.contains("no session: ")).collect();
            let [line] = lines[..] else { anyhow::bail!("{shown}") };
            ensure!(line.starts_with("  no session: 192.0.2."), "{line}");
            let json = lab.relay().relay(&[verb, "--json"])?.success(verb)?;
            let unanswered = &schema::parse(verb, &json)?["guard"]["unanswered"];
            ensure!(unanswered[0]["initiations"].as_u64() > Some(3), "{unanswered}");
        }

        let mut lab = lab;
        lab.site_mut().guard_mut()?.insert("burst".to_owned(), 100.into());
        let report = lab.up()?;
        ensure!(report.changes == ["~ guard on eth0: new settings"], "{report:?}");
        let limited = seen(&lab, "limited")?;
        let (key, passed) = (relay_key(&lab)?, seen(&lab, "initiation")?);
        // From an unknown address.
        lab.internet().run("ip", &["address", "add", "192.0.2.77/32", "dev", "lo"])?;
        let socket = lab.internet().enter(|| UdpSocket::bind("192.0.2.77:0"))??;
        for number in 0..40 {
            socket.send_to(&message::initiation(&key, number), (UNDERLAY, PORT))?;
        }
        await_seen(&lab, "initiation", passed + 40)?;
        ensure!(seen(&lab, "limited")? == limited, "within its burst");
        Ok(())
    });
}

/// Spoofs the peer's address and port, before and after data confirmed them.
#[test]
fn a_flood_in_a_peers_name_costs_it_no_handshake() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(guarded(&[("initiations_per_second", 1), ("burst", 3)])?)?;
        let a = lab.site().names()?.first().cloned().context("a node")?;
        let key = lab.site().private_key(&a)?.public_key().to_string();
        let endpoint: SocketAddr = lab.relay().wg("relay0", "endpoints")?[&key].parse()?;
        let forged = message::initiation(&PublicKey::from_bytes([9; 32]), 1);
        let flood = Spoofer::new(&lab, endpoint)?;
        for is_confirmed in [true, false] {
            if !is_confirmed {
                // The guard loses its state.
                lab.site_mut().without_guard();
                lab.up()?;
                let guard = lab.site_mut().guard_mut()?;
                guard.insert("initiations_per_second".to_owned(), 1.into());
                guard.insert("burst".to_owned(), 3.into());
                lab.up()?;
            }
            // The relay loses the session; the peer notices after 15 s and reconnects.
            lab.relay().namespace().run("wg", &["set", "relay0", "peer", &key, "remove"])?;
            lab.relay().up()?;
            let (bad, limited) = (seen(&lab, "bad_mac1")?, seen(&lab, "limited")?);
            let [a, b] = lab.first()?;
            let before = a.latest_handshake()?;
            flood.send(&forged, 500)?;
            await_seen(&lab, "bad_mac1", bad + 100)?;
            let mut echo = Echo::between(a, b, Family::V4)?;
            deadline::within(Duration::from_secs(60), "a handshake in a flood", || {
                flood.send(&forged, 50)?;
                echo.send(1)?;
                Ok((a.latest_handshake()? > before).then_some(()))
            })?;
            talk(a, b)?;
            ensure!(seen(&lab, "limited")? == limited, "the peer was limited");
        }
        Ok(())
    });
}

#[test]
fn nothing_from_an_address_of_the_overlay_comes_in() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[])?)?;
        count_arrivals(&lab)?;
        let arrived = arrivals(&lab)?;
        let [a, b] = lab.first()?;
        let spoofer = Spoofer::new(&lab, SocketAddr::new(a.address(Family::V4), 40010))?;
        spoofer.send(&message::initiation(&relay_key(&lab)?, 1), 20)?;
        spoofer.send(&message::data(148, 1), 20)?;
        await_seen(&lab, "overlay_source", 40)?;
        ensure!(arrivals(&lab)? == arrived, "some came in");
        talk(a, b)
    });
}

/// Adds an IPv6 underlay to the peer, its router, the internet and the relay.
///
/// ```text
///   relay 2001:db8::1 ── ::fe internet 2001:db8:2::1 ── ::2 router 2001:db8:1::1 ── ::2 peer
/// ```
fn dial_over_v6(lab: &Lab, peer: &Peer) -> Result<()> {
    let router = peer.nat().namespace();
    for namespace in [lab.internet(), router] {
        namespace.set_sysctl("ipv6/conf/all/forwarding", 1)?;
    }
    // Neighbour discovery of routers uses link-local addresses, which the lab does not have.
    let name = peer.name();
    for (namespace, lines) in [
        (
            lab.relay().namespace(),
            format!(
                "address add {UNDERLAY_V6}/64 dev eth0 nodad\n\
                 address add fe80::1/64 dev eth0 nodad\n\
                 route add default via {INTERNET_V6}\n"
            ),
        ),
        (
            lab.internet(),
            format!(
                "address add {INTERNET_V6}/64 dev relay nodad\n\
                 address add fe80::2/64 dev relay nodad\n\
                 address add 2001:db8:2::1/64 dev {name} nodad\n\
                 address add fe80::3/64 dev {name} nodad\n\
                 route add 2001:db8:1::/64 via 2001:db8:2::2\n"
            ),
        ),
        (
            router,
            "address add 2001:db8:2::2/64 dev wan nodad\n\
             address add fe80::4/64 dev wan nodad\n\
             address add 2001:db8:1::1/64 dev lan nodad\n\
             address add fe80::5/64 dev lan nodad\n\
             route add default via 2001:db8:2::1\n"
                .to_owned(),
        ),
        (
            peer.namespace(),
            "address add 2001:db8:1::2/64 dev eth0 nodad\n\
             address add fe80::6/64 dev eth0 nodad\n\
             route add default via 2001:db8:1::1\n"
                .to_owned(),
        ),
    ] {
        namespace.feed("ip", &["-6", "-batch", "-"], &lines)?;
    }
    Ok(())
}

/// A socket on the internet that sends with a spoofed address and port.
struct Spoofer(UdpSocket);

impl Spoofer {
    fn new(lab: &Lab, name: SocketAddr) -> Result<Self> {
        let socket = lab.internet().enter(|| UdpSocket::bind("0.0.0.0:0"))??;
        socket.connect((UNDERLAY, PORT))?;
        let (own, address, port) = (socket.local_addr()?.port(), name.ip(), name.port());
        let table = format!(
            "table ip spoof_{own} {{
                chain out {{
                    type filter hook postrouting priority 300;
                    udp sport {own} udp dport {PORT} ip saddr set {address} udp sport set {port}
                }}
            }}\n"
        );
        lab.internet().feed("nft", &["-f", "-"], &table)?;
        Ok(Self(socket))
    }

    fn send(&self, message: &[u8], times: usize) -> Result<()> {
        for _ in 0..times {
            self.0.send(message)?;
        }
        Ok(())
    }
}

/// Counts the handshake initiations that reach the host's stack.
fn count_arrivals(lab: &Lab) -> Result<()> {
    // 148 bytes and the UDP header.
    let table = format!(
        "table inet arrivals {{
            chain in {{
                type filter hook prerouting priority -300;
                udp dport {PORT} udp length 156 counter
            }}
        }}\n"
    );
    lab.relay().namespace().feed("nft", &["-f", "-"], &table)
}

fn arrivals(lab: &Lab) -> Result<u64> {
    let listing = lab.relay().namespace().run("nft", &["list", "table", "inet", "arrivals"])?;
    let count = listing.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
    count.with_context(|| listing.clone())?.parse().with_context(|| listing.clone())
}
