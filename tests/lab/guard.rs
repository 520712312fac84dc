//! The guard in front of kernel WireGuard: what it passes and drops, and how it follows the
//! configuration.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode;
use relay::{
    datapath::{GuardSettings, LoadedGuard},
    model::PublicKey,
};
use relay_tests::{
    Family, Lab, Namespace, Peer, Site, deadline,
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

const PORT: u16 = 51820;

/// The relay's address on an IPv6 underlay, and the internet's next to it.
const UNDERLAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const INTERNET_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);

#[test]
fn every_message_of_the_kernels_wireguard_passes_whoever_begins() {
    scenario(&[bed::NEEDS, &[Need::WireGuard]].concat(), || {
        let bed = Bed::make("guard-kernel")?;
        let relay = Tunnel::kernel(&bed.relay, "relay0")?;
        let peer = Tunnel::kernel(&bed.other, "tunnel")?;
        tunnel::talk(&bed, &relay, &peer)
    });
}

#[test]
fn peers_connect_over_both_underlays_and_talk_while_forged_handshakes_never_arrive() {
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
        deadline::until("an initiation that is right", || {
            Ok((arrivals(&lab)? > arrived).then_some(()))
        })?;
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

#[test]
fn with_another_key_of_the_relay_the_guard_has_it_too() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[])?)?;
        let [a, b] = lab.first()?;
        let old = relay_key(&lab)?;
        fs::remove_file(lab.directory().join("private.key"))?;
        let report = lab.up()?;
        let line = "~ guard on eth0: the new key".to_owned();
        ensure!(report.changes.contains(&line), "{report:?}");
        ensure!(!lab.up()?.changed);
        let new = relay_key(&lab)?;
        ensure!(old != new);

        let (bad, right) = (seen(&lab, "bad_mac1")?, seen(&lab, "initiation")?);
        let of = |key: PublicKey| (0..20).map(move |number| message::initiation(&key, number));
        send(lab.internet(), UNDERLAY.parse()?, of(old))?;
        await_seen(&lab, "bad_mac1", bad + 20)?;
        send(lab.internet(), UNDERLAY.parse()?, of(new))?;
        await_seen(&lab, "initiation", right + 20)?;

        for peer in [a, b] {
            peer.namespace().run("ip", &["link", "del", peer.name()])?;
        }
        lab.connect([a, b])?;
        talk(a, b)
    });
}

#[test]
fn without_its_table_it_is_taken_off_and_counts_go_on_when_it_is_back() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(guarded(&[])?)?;
        let counted = seen(&lab, "initiation")?;
        ensure!(counted >= 2 && has_xdp(&lab)?);

        lab.site_mut().without_guard();
        lab.write_config()?;
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("- guard on eth0"), "{status:?}");
        let report = lab.up()?;
        ensure!(report.changes == ["- guard on eth0"] && !has_xdp(&lab)?, "{report:?}");
        ensure!(!lab.up()?.changed);
        let stats = lab.relay().stats()?;
        ensure!(stats.guard.interfaces.is_empty(), "{stats:?}");
        ensure!(seen(&lab, "initiation")? == counted, "counts are kept");

        lab.site_mut().guard_mut()?.insert("mode".to_owned(), "driver".into());
        let report = lab.up()?;
        ensure!(report.changes == ["+ guard on eth0 (mode driver)"], "{report:?}");
        send(lab.internet(), UNDERLAY.parse()?, [message::initiation(&relay_key(&lab)?, 1)])?;
        await_seen(&lab, "initiation", counted + 1)?;

        lab.site_mut().guard_mut()?.insert("enabled".to_owned(), false.into());
        let report = lab.up()?;
        ensure!(report.changes == ["- guard on eth0"], "{report:?}");
        lab.site_mut().guard_mut()?.insert("enabled".to_owned(), true.into());
        lab.up()?;
        let report = lab.relay().down()?;
        ensure!(report.changes.iter().any(|line| line == "- guard on eth0"), "{report:?}");
        ensure!(!has_xdp(&lab)?, "down left it");
        Ok(())
    });
}

#[test]
fn a_program_of_somebody_else_is_left_alone_and_the_relay_works_without() {
    scenario(skip::LAB, || {
        let lab = Lab::build(guarded(&[])?)?;
        let settings = GuardSettings {
            port: 1,
            public_key: PublicKey::from_bytes([9; 32]),
            initiations_per_second: 1,
            burst: 1,
            sources: 1024,
            overlay: Vec::new(),
        };
        let mut other = LoadedGuard::load(&settings, None)?;
        let host = lab.relay().namespace();
        let attached_there =
            host.enter(|| -> Result<_> { Ok(other.program()?.attach("eth0", XdpMode::Driver)?) })??;
        let report = lab.up()?;
        let said = "interface eth0: found XDP program relay_guard (id ";
        ensure!(report.warnings.iter().any(|warning| warning.starts_with(said)), "{report:?}");
        ensure!(!report.changes.iter().any(|change| change.contains(" guard on ")), "{report:?}");
        ensure!(attached(&lab)? == "none");
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.starts_with(said), "{status:?}");
        let doctor = lab.relay().relay(&["doctor"])?;
        ensure!(doctor.stdout.contains("eth0 has XDP program relay_guard (id "), "{doctor:?}");
        ensure!(doctor.stdout.contains("→ remove it with `bpftool link detach id "), "{doctor:?}");
        let peers = lab.first::<2>()?;
        lab.connect(peers)?;
        talk(peers[0], peers[1])?;
        ensure!(has_xdp(&lab)?, "the other program was taken off");

        other.program()?.detach(attached_there)?;
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("+ guard on eth0"), "{status:?}");
        lab.up()?;
        ensure!(attached(&lab)? == "driver");
        talk(peers[0], peers[1])
    });
}

#[test]
fn what_of_the_guard_cannot_be_had_is_told_and_the_relay_comes_up() {
    scenario(skip::LAB, || {
        let mut site = guarded(&[])?;
        site.guard_mut()?.insert("mode".to_owned(), "generic".into());
        let mut lab = Lab::start(site)?;
        ensure!(attached(&lab)? == "generic");
        ensure!(seen(&lab, "initiation")? >= 2);
        let before = seen(&lab, "bad_mac1")?;
        let forged = message::initiation(&PublicKey::from_bytes([9; 32]), 1);
        send(lab.internet(), UNDERLAY.parse()?, [forged])?;
        await_seen(&lab, "bad_mac1", before + 1)?;

        lab.site_mut().guard_mut()?.insert("mode".to_owned(), "driver".into());
        let report = lab.up()?;
        ensure!(report.changes == ["~ guard on eth0: mode generic → driver"], "{report:?}");
        ensure!(attached(&lab)? == "driver");

        // The dummy driver has no XDP.
        let ip = |arguments: &[&str]| lab.relay().namespace().run("ip", arguments);
        ip(&["link", "add", "dummy7", "type", "dummy"])?;
        let named = toml::Value::from(vec!["eth0", "dummy7", "eth7"]);
        let mut site = lab.site().clone();
        site.guard_mut()?.insert("interfaces".to_owned(), named);
        lab.relay().write_config(&site.text()?)?;
        let absent = "found no interface eth7";
        let refused = "no guard on dummy7: interface dummy7: cannot run program relay_guard in mode \
                       driver";
        // With and without a running relay.
        for is_down in [false, true] {
            if is_down {
                lab.relay().down()?;
            }
            let report = lab.relay().up()?;
            ensure!(report.changed == is_down, "{report:?}");
            for said in [absent, refused] {
                let is_told = report.warnings.iter().any(|warning| warning.contains(said));
                ensure!(is_told, "no {said:?} in {report:?}");
            }
            ensure!(!report.changes.iter().any(|line| line.contains("dummy7")), "{report:?}");
            let plain = lab.relay().relay(&["up"])?;
            ensure!(plain.code == 0 && plain.stderr.contains(refused), "{plain:?}");
            let status = lab.relay().relay(&["status", "--check"])?;
            ensure!(status.code == 1 && status.stderr.contains(absent), "{status:?}");
            ensure!(status.stderr.contains("+ guard on dummy7"), "{status:?}");
            let doctor = lab.relay().relay(&["doctor"])?;
            ensure!(doctor.stdout.contains(absent) && doctor.code == 0, "{doctor:?}");
        }
        let peers = lab.first::<2>()?;
        for peer in peers {
            peer.namespace().run("ip", &["link", "del", peer.name()])?;
        }
        lab.connect(peers)?;
        talk(peers[0], peers[1])?;
        ensure!(attached_to(&lab, "eth0")? == "driver");

        // An interface that appears later is guarded by the next `up`.
        ip(&["link", "add", "eth7", "type", "veth", "peer", "name", "eth8"])?;
        let reload = lab.relay().relay(&["reload"])?.success("reload")?;
        ensure!(reload.contains("+ guard on eth7 (mode driver)"), "{reload}");
        ensure!(attached_to(&lab, "eth7")? == "driver");
        ip(&["link", "del", "eth7"])?;

        let named = toml::Value::from(vec!["eth0", "dummy7"]);
        site.guard_mut()?.insert("interfaces".to_owned(), named);
        site.guard_mut()?.insert("mode".to_owned(), "auto".into());
        lab.relay().write_config(&site.text()?)?;
        lab.relay().up()?;
        let status = lab.relay().relay(&["status"])?.success("status")?;
        ensure!(status.contains("  guard: eth0 by driver, dummy7 by generic\n"), "{status}");

        // Deleted and made again, it is another interface.
        ip(&["link", "del", "dummy7"])?;
        ip(&["link", "add", "dummy7", "type", "dummy"])?;
        let report = lab.relay().up()?;
        let line = "+ guard on dummy7, which was made again (mode auto)";
        ensure!(report.changes == [line], "{report:?}");
        ensure!(!lab.relay().up()?.changed);
        let [a, b] = lab.first()?;
        talk(a, b)
    });
}

/// Two nodes that list each other, and a relay with a guard with these settings.
pub(crate) fn guarded(numbers: &[(&str, i64)]) -> Result<Site> {
    let mut site = Site::node_to_node()?;
    let guard = site.guard_mut()?;
    guard.extend(numbers.iter().map(|(key, number)| ((*key).to_owned(), (*number).into())));
    Ok(site)
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

/// Checks that each peer answers the other, in both families.
pub(crate) fn talk(a: &Peer, b: &Peer) -> Result<()> {
    for (from, to) in [(a, b), (b, a)] {
        for family in Family::ALL {
            let (source, target) = (from.address(family), to.address(family));
            let mut echo = Echo::open(from.namespace(), source, target)?;
            echo.send(1)?;
            ensure!(echo.answers(1, deadline::PATIENCE)? == 1, "{target} does not answer {source}");
        }
    }
    Ok(())
}

/// Sends messages from one socket to the relay's port.
fn send(
    from: &Namespace,
    relay: IpAddr,
    messages: impl IntoIterator<Item = Vec<u8>>,
) -> Result<()> {
    let any: SocketAddr = match relay {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = from.enter(|| UdpSocket::bind(any))??;
    for message in messages {
        socket.send_to(&message, (relay, PORT))?;
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

/// The count of this outcome.
fn seen(lab: &Lab, outcome: &str) -> Result<u64> {
    let messages = lab.relay().stats()?.guard.messages;
    messages.get(outcome).copied().with_context(|| format!("no {outcome} in {messages:?}"))
}

fn await_seen(lab: &Lab, outcome: &str, wanted: u64) -> Result<()> {
    deadline::until(&format!("{wanted} × {outcome}"), || {
        Ok((seen(lab, outcome)? >= wanted).then_some(()))
    })
}

/// The mode of the guard on an interface.
fn attached_to(lab: &Lab, interface: &str) -> Result<String> {
    let interfaces = lab.relay().stats()?.guard.interfaces;
    let found = interfaces.iter().find(|it| it.interface == interface);
    Ok(found.with_context(|| format!("no {interface} in {interfaces:?}"))?.attached.clone())
}

/// The mode of the guard on eth0, the only interface of the relay's host.
fn attached(lab: &Lab) -> Result<String> {
    let interfaces = lab.relay().stats()?.guard.interfaces;
    let [eth0] = &interfaces[..] else { anyhow::bail!("{interfaces:?}") };
    ensure!(eth0.interface == "eth0", "{interfaces:?}");
    Ok(eth0.attached.clone())
}

/// Whether `ip` shows an XDP program on eth0.
pub(crate) fn has_xdp(lab: &Lab) -> Result<bool> {
    let text = lab.relay().namespace().run("ip", &["-json", "link", "show", "dev", "eth0"])?;
    let links: serde_json::Value = serde_json::from_str(&text)?;
    Ok(links[0].get("xdp").is_some())
}

fn relay_key(lab: &Lab) -> Result<PublicKey> {
    Ok(lab.relay().stats()?.public_key.parse()?)
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
