use std::{net::IpAddr, path::PathBuf};

use super::*;
use crate::model::{Egress, HostAccess, Peer, PublicKey, Relay};

#[test]
fn a_sound_host_gives_one_ok_a_check() {
    let report = Report::of(&sound());
    assert!(report.ok && report.is_host_fit());
    assert!(report.findings.iter().all(|finding| finding.level == Level::Ok), "{report:#?}");
    insta::assert_snapshot!(text(&report));
}

#[test]
fn a_place_of_pins_that_others_can_write_to_is_a_warning_and_a_used_or_read_only_one_a_problem() {
    let finding = |pin_place| {
        let report = Report::of(&Facts { pin_place, ..sound() });
        report.findings.into_iter().find(|finding| finding.check == "bpffs").expect("the check")
    };
    let open = finding(PinPlace::Open);
    assert_eq!(
        (open.level, &*open.remedy),
        (Level::Warning, "chmod 0700 /sys/fs/bpf, or mount it with -o mode=0700",)
    );
    let (found, remedy) = ("it is user 1000's".to_owned(), "remove it".to_owned());
    let used = finding(PinPlace::Distrusted(found.clone(), remedy.clone()));
    assert_eq!((used.level, used.found, used.remedy), (Level::Problem, found, remedy));
    let read_only = finding(PinPlace::ReadOnly);
    assert_eq!(
        (read_only.level, &*read_only.remedy),
        (Level::Problem, "mount -o remount,rw /sys/fs/bpf")
    );
}

#[test]
fn whatever_is_wrong_has_a_remedy() {
    let facts = Facts {
        kernel: "5.15.0".to_owned(),
        version: Some((5, 15)),
        jit: Some(0),
        btf: false,
        unprivileged_bpf_disabled: Some(0),
        missing_capabilities: vec!["CAP_BPF"],
        pin_place: PinPlace::Missing,
        wireguard: Module::Missing,
        nf_tables: Module::Barred,
        clock: Clock::Unserved,
        configured: Configured {
            path: "/etc/relay/relay.toml".into(),
            warnings: vec!["relay.toml:3:1: a warning; a remedy".to_owned()],
            key_warnings: vec!["private.key has mode 0644; chmod 0600 private.key".to_owned()],
            ..Configured::default()
        },
        relay: Some(Relay { fast_path: false, ..relay() }),
        occupant: Occupant::Other("bridge".to_owned()),
        claims: vec![
            PathBuf::from("/etc/wireguard/relay0.conf"),
            PathBuf::from("/etc/systemd/network/all.network"),
        ],
        is_port_taken: true,
        routes: vec![
            route("10.3.2.0/24", "eth1"),
            route("10.3.2.64/26", "eth2"),
            route("192.168.40.0/24", "eth3"),
        ],
        host_addresses: vec![IpAddr::from([10, 3, 2, 2])],
        underlays: vec![Underlay { interface: "eth0".to_owned(), mtu: 1450 }],
        docker: true,
        firewall: Firewall::Barred("chain inet filter input drops it".to_owned()),
        ipv6_off: Some(Ipv6Off {
            found: "it is off".to_owned(),
            remedy: "switch it on".to_owned(),
        }),
        mark_writers: vec![
            MarkWriter { chain: "ip mangle PREROUTING".to_owned(), set: 0, lost: 0x3000_1000 },
            MarkWriter { chain: "inet fw forward".to_owned(), set: 0x1000, lost: 0x3000_0000 },
        ],
        lost: vec!["fence inet relay_relay0 is gone".to_owned()],
        retimed: Some("rules with until end 37 s early".to_owned()),
        ufw: Some(Ufw { lets_port_in: Some(false) }),
        programs: Programs::Found(vec!["XDP program 7".to_owned()]),
        guard: GuardPlaces::Found {
            free: vec!["eth0".to_owned()],
            taken: vec![(
                "eth1".to_owned(),
                "XDP program xdp_filter (id 7)".to_owned(),
                "remove it with `bpftool link detach id 9`".to_owned(),
            )],
            unusable: vec!["found no interface eth7; correct the name".to_owned()],
            warnings: vec!["ppp0 has no Ethernet frames".to_owned()],
        },
        rp_filter: Some(1),
        forwarding: Forwarding { v4: Some(false), v6: None },
        threaded: true,
        ..sound()
    };
    let report = Report::of(&facts);
    assert!(!report.ok && !report.is_host_fit());
    let mute: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.level != Level::Ok && finding.remedy.is_empty())
        .map(|finding| finding.check)
        .collect();
    assert_eq!(mute, ["key-files"], "those say it in what was found");
    insta::assert_snapshot!(text(&report));
}

#[test]
fn a_broken_configuration_is_no_fault_of_the_host() {
    let configured = Configured {
        path: "relay.toml".into(),
        problems: vec!["relay.toml:1:1: one; do".to_owned(), "relay.toml:2:1: two; do".to_owned()],
        ..Configured::default()
    };
    let report = Report::of(&Facts { configured, relay: None, ..sound() });
    assert!(!report.ok && report.is_host_fit());
    assert!(report.findings.iter().all(|finding| finding.check != "overlay"));
}

#[test]
fn what_the_fast_path_does_not_need_is_not_asked_for() {
    let facts = Facts {
        docker: true,
        rp_filter: Some(1),
        forwarding: Forwarding { v4: Some(false), v6: Some(false) },
        ..sound()
    };
    assert_eq!(Report::of(&facts).count(Level::Ok), Report::of(&facts).findings.len());
    let stack = Facts { relay: Some(Relay { egress: Egress::Stack, ..relay() }), ..facts };
    let report = Report::of(&stack);
    let levels = |check| {
        let mut of = report.findings.iter().filter(|finding| finding.check == check);
        of.next().expect("the check").level
    };
    assert_eq!(levels("docker"), Level::Warning);
    assert_eq!(levels("forwarding"), Level::Problem);
}

#[test]
fn without_fence_and_rp_filter_an_endpoint_can_move_into_the_overlay() {
    let level = |rp_filter, fence| {
        let relay = Some(Relay { fence, ..relay() });
        let report = Report::of(&Facts { rp_filter: Some(rp_filter), relay, ..sound() });
        report.findings.iter().find(|f| f.check == "rp-filter").expect("the check").level
    };
    for (rp_filter, fence, expected) in [
        (0, false, Level::Warning),
        (2, false, Level::Warning),
        (1, false, Level::Ok),
        (0, true, Level::Ok),
    ] {
        assert_eq!(level(rp_filter, fence), expected, "{rp_filter} {fence}");
    }
}

#[test]
fn a_chain_that_clears_relays_marks_matters_where_packets_pass_the_host_s_rules() {
    let lost = MarkWriter { chain: "ip a b".to_owned(), set: 0, lost: 0x1000_1000 };
    let set = MarkWriter { set: 0x1000_1000, lost: 0, ..lost.clone() };
    let level = |writer: &MarkWriter, relay| {
        let facts = Facts { mark_writers: vec![writer.clone()], relay: Some(relay), ..sound() };
        let report = Report::of(&facts);
        report.findings.iter().find(|finding| finding.check == "marks").expect("the check").level
    };
    assert_eq!(level(&lost, relay()), Level::Ok);
    assert_eq!(level(&lost, Relay { fast_path: false, ..relay() }), Level::Warning);
    assert_eq!(level(&lost, Relay { egress: Egress::Stack, ..relay() }), Level::Warning);
    assert_eq!(level(&lost, Relay { host_access: HostAccess::All, ..relay() }), Level::Warning);
    assert_eq!(level(&set, relay()), Level::Warning);
}

#[test]
fn an_underlay_that_is_short_for_ipv6_alone_is_said_so() {
    let underlays = vec![Underlay { interface: "eth0".to_owned(), mtu: 1490 }];
    let report = Report::of(&Facts { underlays, ..sound() });
    let mtu = report.findings.iter().find(|finding| finding.check == "mtu").expect("the check");
    assert_eq!(mtu.remedy, "write mtu = 1410 into [relay]");
    assert!(mtu.found.contains("dial over IPv6"), "{mtu:?}");
}

#[test]
fn a_route_around_the_overlay_and_a_default_route_are_no_clash() {
    let routes = vec![
        route("10.0.0.0/8", "eth0"),
        route("0.0.0.0/0", "eth0"),
        route("10.3.2.0/24", "relay0"),
    ];
    let report = Report::of(&Facts { routes, ..sound() });
    assert!(report.ok, "{report:#?}");
}

#[test]
fn a_guard_that_is_asked_for_and_cannot_be_looked_at_is_a_warning() {
    let report = Report::of(&Facts { guard: GuardPlaces::Unknown("EPERM".to_owned()), ..sound() });
    let guard = report.findings.iter().find(|finding| finding.check == "guard").expect("it");
    assert_eq!((guard.level, report.ok), (Level::Warning, true));
    assert!(guard.found.ends_with("cannot be read: EPERM"), "{guard:?}");
}

fn text(report: &Report) -> String {
    let mut text = Vec::new();
    render_report_into(&mut text, report, false).expect("memory is never full");
    String::from_utf8(text).expect("text")
}

fn sound() -> Facts {
    Facts {
        kernel: "6.12.117-cloud".to_owned(),
        version: Some((6, 12)),
        minimum: (6, 1),
        jit: Some(1),
        btf: true,
        unprivileged_bpf_disabled: Some(2),
        missing_capabilities: Vec::new(),
        bpffs: "/sys/fs/bpf".into(),
        pin_place: PinPlace::Closed,
        wireguard: Module::Loadable,
        nf_tables: Module::Present,
        clock: Clock::Synchronized,
        configured: Configured { path: "/etc/relay/relay.toml".into(), ..Configured::default() },
        relay: Some(relay()),
        occupant: Occupant::Nobody,
        claims: Vec::new(),
        is_port_taken: false,
        routes: vec![route("0.0.0.0/0", "eth0"), route("192.0.2.0/24", "eth0")],
        host_addresses: vec![IpAddr::from([192, 0, 2, 1])],
        underlays: vec![Underlay { interface: "eth0".to_owned(), mtu: 1500 }],
        docker: false,
        firewall: Firewall::Open,
        mark_writers: Vec::new(),
        ipv6_off: None,
        lost: Vec::new(),
        retimed: None,
        mesh: Vec::new(),
        ufw: None,
        programs: Programs::NoInterface,
        guard: GuardPlaces::Off,
        rp_filter: Some(2),
        forwarding: Forwarding { v4: Some(false), v6: Some(false) },
        threaded: false,
    }
}

fn route(destination: &str, interface: &str) -> Route {
    Route {
        destination: destination.parse().expect("a prefix"),
        interface: Some(interface.to_owned()),
    }
}

fn relay() -> Relay {
    Relay {
        addresses: ["10.3.2.1/24", "fd00::3:2:1/120"].map(|net| net.parse().expect("it")).into(),
        peers: vec![Peer {
            addresses: vec![IpAddr::from([10, 3, 2, 2])],
            routes: ["192.168.40.0/24", "0.0.0.0/0"].map(|net| net.parse().expect("it")).into(),
            ..Peer::new("node-a".parse().expect("a name"), PublicKey::from_bytes([2; 32]))
        }],
        ..Relay::new("relay0".parse().expect("a name"))
    }
}
