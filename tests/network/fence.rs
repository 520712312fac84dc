//! ```text
//!  outside (10.77.0.2) ── relay0 [ relay 10.77.0.1 ] lan0 ── lan (10.88.0.2)
//! ```

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use relay::{
    model::InterfaceName,
    net::fence::{self, Dropped, Drops, Fence, FenceState, Marks},
};

use crate::namespace::{Namespace, namespaces};

const MARKS: Marks = Marks { passed: 0x1000_1000, answer: 0x3000_1000 };

/// Destination port of the datagrams, which the witness chains count.
const PORT: u16 = 7777;

/// WireGuard's port.
const TUNNEL: u16 = 51820;

/// The fence of relay0 as printed by `nft`, with counters at zero.
const LISTING: &str = "\
table inet relay_relay0 {
\tchain forward {
\t\ttype filter hook forward priority mangle; policy accept;
\t\toifname \"relay0\" meta mark & 0x10001000 != 0x10001000 counter packets 0 bytes 0 drop
\t}

\tchain output {
\t\ttype filter hook output priority mangle; policy accept;
\t\toifname \"relay0\" udp sport 51820 counter packets 0 bytes 0 drop
\t}

\tchain prerouting {
\t\ttype filter hook prerouting priority -450; policy accept;
\t\tiifname \"relay0\" meta mark & 0x10001000 != 0x10001000 counter packets 0 bytes 0 drop
\t\tudp dport 51820 ip saddr 10.77.0.0/24 counter packets 0 bytes 0 drop
\t\tudp dport 51820 ip6 saddr fd77::/64 counter packets 0 bytes 0 drop
\t}
}
";

#[test]
fn it_is_what_nft_prints_and_stands_without_the_interface() {
    let Some([host]) = namespaces("fence_listing") else { return };
    assert_eq!(state(&host), FenceState::Absent);
    put_up(&host);
    assert_eq!(host.nft("list table inet relay_relay0"), LISTING);
    assert_eq!(state(&host), FenceState::Intact);
    put_up(&host);
    assert_eq!(host.nft("list table inet relay_relay0"), LISTING);
}

#[test]
fn what_comes_back_has_rules_that_are_put_up_and_read_back() {
    let Some([host]) = namespaces("fence_replies") else { return };
    let drop = "\t\toifname \"relay0\" meta mark";
    let published = "\t\toifname \"relay0\" ct direction reply ct status dnat meta mark set meta \
                     mark | 0x30001000 counter packets 0 bytes 0 accept\n";
    let replies =
        "\t\toifname \"relay0\" ct state established,related counter packets 0 bytes 0 accept\n";
    let shapes = [(false, false), (false, true), (true, false), (true, true)];
    for (publishes, with_replies) in shapes {
        let fence = Fence { publishes, replies: with_replies, ..fence() };
        let up = fence.clone();
        host.run(move || fence::put_up(&up)).expect("put up");
        let published = if publishes { published } else { "" };
        let replies = if with_replies { replies } else { "" };
        let listing = LISTING.replace(drop, &format!("{published}{replies}{drop}"));
        assert_eq!(host.nft("list table inet relay_relay0"), listing);
        for (publishes, replies) in shapes {
            let other = Fence { publishes, replies, ..fence.clone() };
            let expected = if other == fence { FenceState::Intact } else { FenceState::Different };
            let shapes = format!("{fence:?} {other:?}");
            assert_eq!(judged(&host, other), expected, "{shapes}");
        }
    }
}

#[test]
fn every_way_to_weaken_it_is_seen_and_repaired() {
    let Some([host]) = namespaces("fence_weakened") else { return };
    for tampering in [
        "flush table inet relay_relay0",
        "flush chain inet relay_relay0 prerouting",
        "delete table inet relay_relay0; add table inet relay_relay0",
        "insert rule inet relay_relay0 prerouting accept",
        "add rule inet relay_relay0 forward accept",
        "add chain inet relay_relay0 other",
        "add table inet relay_relay0 { flags dormant; }",
        "flush chain inet relay_relay0 prerouting; add rule inet relay_relay0 \
         prerouting iifname relay1 meta mark & 0x10001000 != 0x10001000 counter drop",
        "flush chain inet relay_relay0 prerouting; add rule inet relay_relay0 \
         prerouting iifname relay0 meta mark & 0x10001000 != 0x1000 counter drop",
        "flush chain inet relay_relay0 prerouting; add rule inet relay_relay0 \
         prerouting iifname relay0 meta mark & 0x10001000 != 0x10001000 counter accept",
        "delete table inet relay_relay0; table inet relay_relay0 { chain prerouting { type filter \
         hook prerouting priority 0; policy accept; }; chain forward { type filter hook forward priority \
         mangle; policy accept; }; }",
    ] {
        put_up(&host);
        assert_eq!(state(&host), FenceState::Intact, "before {tampering}");
        host.nft(tampering);
        assert_eq!(state(&host), FenceState::Different, "after {tampering}");
    }
    put_up(&host);
    assert_eq!(state(&host), FenceState::Intact);
    let other_marks = Marks { passed: MARKS.passed | 1, ..MARKS };
    for other in [Fence { marks: other_marks, ..fence() }, Fence { port: TUNNEL + 1, ..fence() }] {
        assert_eq!(judged(&host, other), FenceState::Different);
    }
}

#[test]
fn it_goes_alone_and_going_twice_is_no_error() {
    let Some([host]) = namespaces("fence_down") else { return };
    host.nft("add table inet other");
    put_up(&host);
    assert!(host.run(|| fence::take_down(&relay0())).expect("taken down"));
    assert!(!host.run(|| fence::take_down(&relay0())).expect("nothing to take down"));
    assert_eq!(host.nft("list tables"), "table inet other\n");
}

#[test]
fn without_the_mark_nothing_reaches_the_host_or_passes_through_it_and_with_it_all_does() {
    let Some([outside, relay, lan]) = namespaces("fence_packets") else { return };
    connect(&outside, &relay, &lan);
    let paths = [
        (&outside, &relay, "10.77.0.1"),
        (&outside, &relay, "fd77::1"),
        (&outside, &lan, "10.88.0.2"),
        (&outside, &lan, "fd88::2"),
        (&lan, &outside, "10.77.0.2"),
        (&lan, &outside, "fd77::2"),
    ];
    for (from, to, address) in paths {
        assert!(arrives(from, to, address, &relay), "without a fence, {address}");
    }

    put_up(&relay);
    for (from, to, address) in paths {
        assert!(!arrives(from, to, address, &relay), "unmarked, {address}");
    }
    let dropped = drops(&relay);
    assert!(dropped(Dropped::FromPeers) >= 4 && dropped(Dropped::ToPeers) >= 2);
    assert_eq!(state(&relay), FenceState::Intact, "counters are no difference");

    relay.nft(
        "table inet marker { chain everything { type filter hook prerouting priority -460; \
         meta mark set mark or 0x10001000; }; }",
    );
    for (from, to, address) in paths {
        assert!(arrives(from, to, address, &relay), "marked, {address}");
    }

    // The fence also holds for another interface of that name.
    relay.nft("delete table inet marker");
    relay.ip("link del relay0");
    outside_link(&outside, &relay);
    assert!(!arrives(&outside, &relay, "10.77.0.1", &relay), "created anew");
}

fn connect(outside: &Namespace, relay: &Namespace, lan: &Namespace) {
    outside_link(outside, relay);
    relay.veth("lan0", lan, "eth0");
    lan.ip("addr add 10.88.0.2/24 dev eth0");
    lan.ip("addr add fd88::2/64 dev eth0 nodad");
    relay.ip("addr add 10.88.0.1/24 dev lan0");
    relay.ip("addr add fd88::1/64 dev lan0 nodad");
    lan.ip("route add default via 10.88.0.1");
    lan.ip("route add default via fd88::1");
    for (chain, hook, priority) in [
        ("before", "prerouting", -500),
        ("after_input", "input", -149),
        ("after_forward", "forward", -149),
    ] {
        relay.nft(&format!(
            "table inet witness {{ chain {chain} {{ type filter hook {hook} priority {priority}; udp \
             dport {PORT} counter; }}; }}"
        ));
    }
    relay.run(|| {
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            fs::write(format!("/proc/sys/net/{switch}"), "1").expect("a switch");
        }
    });
}

fn outside_link(outside: &Namespace, relay: &Namespace) {
    relay.veth("relay0", outside, "eth0");
    // WireGuard needs no neighbour discovery, which the fence would drop.
    relay.ip("link set relay0 address 02:00:00:00:00:01");
    outside.ip("link set eth0 address 02:00:00:00:00:02");
    outside.ip("addr add 10.77.0.2/24 dev eth0");
    outside.ip("addr add fd77::2/64 dev eth0 nodad");
    relay.ip("addr add 10.77.0.1/24 dev relay0");
    relay.ip("addr add fd77::1/64 dev relay0 nodad");
    for address in ["10.77.0.1", "fd77::1"] {
        outside.ip(&format!("neigh replace {address} lladdr 02:00:00:00:00:01 dev eth0"));
    }
    for address in ["10.77.0.2", "fd77::2"] {
        relay.ip(&format!("neigh replace {address} lladdr 02:00:00:00:00:02 dev relay0"));
    }
    outside.ip("route add default via 10.77.0.1");
    outside.ip("route add default via fd77::1");
}

/// Sends a datagram and waits until it reaches the fence; returns whether it passes.
fn arrives(from: &Namespace, to: &Namespace, address: &str, relay: &Namespace) -> bool {
    let address: IpAddr = address.parse().expect("an address");
    let target = SocketAddr::new(address, PORT);
    let receiver = to.run(move || UdpSocket::bind(target).expect("a socket"));
    let (came_before, passed_before) = (came(relay), passed(relay));
    from.run(move || {
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let sender = UdpSocket::bind(any).expect("a socket");
        sender.send_to(b"relay", target).expect("it is sent");
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while came(relay) == came_before {
        assert!(Instant::now() < deadline, "the datagram to {target} was lost on its way");
    }
    let passed = passed(relay) > passed_before;
    let wait = if passed { Duration::from_secs(20) } else { Duration::from_millis(1) };
    receiver.set_read_timeout(Some(wait)).expect("a timeout");
    let received = loop {
        match receiver.recv(&mut [0; 16]) {
            // With a time-out, the kernel does not restart an interrupted receive.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => break outcome,
        }
    };
    assert_eq!(received.is_ok(), passed, "{target}: {received:?}");
    passed
}

/// Datagrams that reached the fence.
fn came(relay: &Namespace) -> u64 {
    counted(relay, "witness", "before")
}

/// Datagrams that passed the fence.
fn passed(relay: &Namespace) -> u64 {
    counted(relay, "witness", "after_input") + counted(relay, "witness", "after_forward")
}

/// The sum of the counters of a chain.
fn counted(relay: &Namespace, table: &str, chain: &str) -> u64 {
    let listing = relay.nft(&format!("list chain inet {table} {chain}"));
    let counts = listing.split("counter packets ").skip(1);
    counts
        .map(|rest| rest.split(' ').next().and_then(|count| count.parse::<u64>().ok()))
        .map(|count| count.expect("a count"))
        .sum()
}

fn put_up(host: &Namespace) {
    host.run(|| fence::put_up(&fence())).expect("put up");
}

fn state(host: &Namespace) -> FenceState {
    judged(host, fence())
}

fn judged(host: &Namespace, fence: Fence) -> FenceState {
    host.run(move || fence::observe(&fence)).expect("read").0
}

/// Packets dropped by the fence, by reason.
fn drops(host: &Namespace) -> impl Fn(Dropped) -> u64 {
    let drops: Drops = host.run(|| fence::observe(&fence())).expect("read").1;
    move |wanted| drops.iter().find(|(why, _)| *why == wanted).map_or(0, |(_, packets)| packets)
}

fn fence() -> Fence {
    Fence {
        transit: Vec::new(),
        interface: relay0(),
        port: TUNNEL,
        overlay: ["10.77.0.0/24", "fd77::/64"].map(|net| net.parse().expect("a prefix")).into(),
        marks: MARKS,
        publishes: false,
        replies: false,
    }
}

fn relay0() -> InterfaceName {
    "relay0".parse().expect("a name")
}
