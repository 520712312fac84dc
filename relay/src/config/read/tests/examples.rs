use super::*;
use crate::model::{
    ClientRoutes, Egress, Guard, GuardMode, HostAccess, Peer, Rule, Selector, Underlay, Webhook,
};

fn example(name: &str) -> crate::model::Relay {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let loaded = load(&path, Options::default()).expect("no problems");
    assert_eq!(loaded.warnings, [], "{name}");
    loaded.relay
}

/// The guard of a relay with these lines below `[guard]`.
fn guard(lines: &str) -> Option<Guard> {
    parsed(&format!("{{RELAY}}\n[guard]\n{lines}\n{{A}}\n")).expect("no problems").relay.guard
}

fn shape(peer: &Peer) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(" ");
    let addresses = list(&mut peer.addresses.iter().map(ToString::to_string));
    let allowed_ips = list(&mut peer.allowed_ips.iter().map(ToString::to_string));
    let keepalive = peer.persistent_keepalive;
    format!("{}: {addresses} -> {allowed_ips}, keepalive {keepalive}\n", peer.name)
}

#[test]
fn node_to_node() {
    let relay = example("node-to-node.toml");
    insta::assert_snapshot!(relay.peers.iter().map(shape).collect::<String>(), @r"
    node-a: 10.3.2.3 fd00::3:2:3 -> 10.3.2.2/32 fd00::3:2:2/128, keepalive 25
    node-b: 10.3.2.2 fd00::3:2:2 -> 10.3.2.3/32 fd00::3:2:3/128, keepalive 25
    ");
}

#[test]
fn one_to_many() {
    let relay = example("one-to-many.toml");
    insta::assert_snapshot!(relay.peers.iter().map(shape).collect::<String>(), @r"
    node-a: 10.3.2.2 fd00::3:2:2 -> 10.3.2.3/32 10.3.2.4/32 10.3.2.5/32 fd00::3:2:3/128 fd00::3:2:4/128 fd00::3:2:5/128, keepalive 25
    node-b: 10.3.2.3 fd00::3:2:3 -> 10.3.2.2/32 fd00::3:2:2/128, keepalive 25
    node-c: 10.3.2.4 fd00::3:2:4 -> 10.3.2.2/32 fd00::3:2:2/128, keepalive 25
    node-d: 10.3.2.5 fd00::3:2:5 -> 10.3.2.2/32 fd00::3:2:2/128, keepalive 25
    ");
}

#[test]
fn rules() {
    let relay = example("rules.toml");
    let show = |rule: &Rule| {
        let side = |side: &[Selector]| format!("{side:?}");
        let services: Vec<String> = rule.services.iter().map(ToString::to_string).collect();
        format!(
            "{}: {} -> {}, {}\n",
            rule.name,
            side(&rule.from),
            side(&rule.to),
            services.join(" ")
        )
    };
    insta::assert_snapshot!(relay.rules.iter().map(show).collect::<String>());
    let groups: Vec<_> =
        relay.groups.iter().map(|it| (it.name.as_str(), it.members.clone())).collect();
    assert_eq!(groups, [("admins", vec![0, 1]), ("servers", vec![2, 3])]);
    assert_eq!((relay.tests.len(), relay.client_allowed_ips), (3, ClientRoutes::Overlay));
}

#[test]
fn groups_hold_groups_and_peers_name_theirs() {
    let relay = parsed(
        "{RELAY}
[groups]
all = [\"group:ops\", \"group:late\", \"b\"]
ops = [\"a\", \"group:inner\"]
inner = [\"b\"]
[[peer]]
name = \"a\"
public_key = \"{KEY_A}\"
address = [\"10.3.2.2\"]
[[peer]]
name = \"b\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\"]
groups = [\"inner\"]
[[peer]]
name = \"c\"
public_key = \"{KEY_C}\"
address = [\"10.3.2.4\"]
groups = [\"late\"]
",
    );
    let relay = relay.expect("no problems").relay;
    let groups: Vec<_> =
        relay.groups.iter().map(|it| (it.name.as_str(), &it.members[..])).collect();
    let expected: [(&str, &[usize]); 4] =
        [("all", &[0, 1, 2]), ("ops", &[0, 1]), ("inner", &[1]), ("late", &[2])];
    assert_eq!(groups, expected);
}

#[test]
fn the_full_example_shows_the_defaults() {
    let full = example("full.toml");
    let sparse = parsed(
        "[relay]\naddress = [\"10.3.2.1/24\"]\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\n\
         address = [\"10.3.2.2\"]\n",
    );
    let sparse = sparse.expect("no problems").relay;
    assert_eq!(full.interface, sparse.interface);
    assert_eq!(full.listen_port, sparse.listen_port);
    assert_eq!(full.private_key_file, sparse.private_key_file);
    assert_eq!(full.mtu, sparse.mtu);
    assert_eq!(full.fast_path, sparse.fast_path);
    assert_eq!(sparse.names, None);
    assert_eq!(full.egress, sparse.egress);
    assert_eq!(full.fence, sparse.fence);
    assert_eq!(full.pair_stats, sparse.pair_stats);
    assert_eq!((sparse.guard, full.guard), (None, guard("")));
    assert_eq!(full.client_allowed_ips, sparse.client_allowed_ips);
    let [rule] = &full.rules[..] else { panic!("one rule") };
    assert!(!rule.both_ways);
    assert!(full.webhooks[0].events.iter().copied().eq(Webhook::default_events()));
    assert_eq!(full.peers[0].persistent_keepalive, sparse.peers[0].persistent_keepalive);
    assert_eq!(full.peers[0].mtu, sparse.peers[0].mtu);
    assert_eq!(full.peers[0].dns, sparse.peers[0].dns);
    assert_eq!(full.peers[0].routes, sparse.peers[0].routes);
}

#[test]
fn a_guard_is_what_its_table_says() {
    let text = "interfaces = [\"eth0\", \"bond0.7\"]\nmode = \"driver\"\n\
                initiations_per_second = 1\nburst = 1000000\nsources = 0x400\n";
    let said = Guard {
        interfaces: Underlay::Named(vec!["eth0".to_owned(), "bond0.7".to_owned()]),
        mode: GuardMode::Driver,
        initiations_per_second: 1,
        burst: 1_000_000,
        sources: 1024,
    };
    assert_eq!(guard(text), Some(said));
    assert_eq!(guard(&format!("{text}enabled = false\n")), None);
    let usual = guard("mode = \"generic\"").expect("a guard");
    assert_eq!((usual.interfaces, usual.mode), (Underlay::Auto, GuardMode::Generic));
    assert_eq!((usual.initiations_per_second, usual.burst, usual.sources), (50, 200, 65536));
}

#[test]
fn defaults_are_those_of_the_design() {
    let relay = parsed(
        "[relay]\naddress = [\"10.3.2.1/24\"]\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\n\
         address = [\"10.3.2.2/32\"]\n",
    );
    let relay = relay.expect("no problems").relay;
    assert_eq!(relay.interface.as_str(), "relay0");
    assert_eq!((relay.listen_port, relay.mtu), (51820, 1420));
    assert_eq!(relay.private_key_file, Path::new("/etc/relay/private.key"));
    assert_eq!((relay.fast_path, relay.fence), (true, true));
    assert_eq!((relay.host_access, relay.egress), (HostAccess::Ping, Egress::Deny));
    let peer = &relay.peers[0];
    assert_eq!((peer.persistent_keepalive, peer.mtu), (25, 1280));
    assert!(peer.allowed_ips.is_empty() && peer.dns.is_empty() && peer.endpoint.is_none());
}

#[test]
fn a_peer_overrides_the_defaults() {
    let relay = parsed(
        "{RELAY}
host_access = [\"tcp/22\", \"udp/53\"]
egress = \"stack\"
fast_path = false
fence = false
[defaults]
persistent_keepalive = 10
mtu = 1300
dns = [\"10.3.2.1\"]
allowed_ips = [\"10.3.2.0/24\"]
[[peer]]
name = \"a\"
public_key = \"{KEY_A}\"
address = [\"10.3.2.2\"]
[[peer]]
name = \"b\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\"]
routes = [\"0.0.0.0/0\", \"::/0\"]
persistent_keepalive = 0
mtu = 1400
dns = []
allowed_ips = [\"10.3.2.2\"]
",
    );
    let relay = relay.expect("no problems").relay;
    let [a, b] = &relay.peers[..] else { panic!("two peers") };
    assert_eq!((a.persistent_keepalive, a.mtu, a.dns.len()), (10, 1300, 1));
    assert_eq!((b.persistent_keepalive, b.mtu, b.dns.len()), (0, 1400, 0));
    assert_eq!(a.allowed_ips, ["10.3.2.0/24".parse().expect("a network")]);
    assert_eq!(b.allowed_ips, ["10.3.2.2/32".parse().expect("a network")]);
    assert_eq!(b.routes.len(), 2);
    let HostAccess::Ports(ports) = relay.host_access else { panic!("ports") };
    assert_eq!(ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp/22", "udp/53"]);
    assert_eq!((relay.egress, relay.fast_path, relay.fence), (Egress::Stack, false, false));
}

#[test]
fn an_empty_list_of_peers_is_fine_when_asked_for() {
    let options = Options { allow_empty: true };
    assert!(parse(&sources(&["{RELAY}\n"]), options).is_ok());
}

#[test]
fn a_peer_s_limits_replace_those_of_the_defaults() {
    let limits = |defaults: &str, own: &str| {
        let text = format!(
            "{{RELAY}}\n[defaults]\n{defaults}\n[[peer]]\nname = \"a\"\npublic_key = \"{{KEY_A}}\"\n\
             address = [\"10.3.2.2\"]\n{own}\n"
        );
        let limits = parsed(&text).expect("no problems").relay.peers[0].limits;
        let rates = [limits.rate_from, limits.rate_to].map(|rate| rate.map(|it| it.to_string()));
        let quotas = [limits.quota, limits.quota_from, limits.quota_to];
        let quotas = quotas.map(|quota| quota.map(|it| it.to_string()));
        let shown = rates.into_iter().chain(quotas);
        shown.map(|limit| limit.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join(", ")
    };
    let rates = "rate_from = \"10 Mbit/s\"\nrate_to = \"1.5 Gbit/s\"";
    assert_eq!(limits(rates, ""), "10 Mbit/s, 1500 Mbit/s, -, -, -");
    assert_eq!(limits(rates, "rate_to = \"unlimited\""), "10 Mbit/s, -, -, -, -");
    let both = "quota = \"500 GB/month\"";
    assert_eq!(limits(both, ""), "-, -, 500 GB/month, -, -");
    assert_eq!(limits(both, "quota = \"1 GiB/day\""), "-, -, 1 GiB/day, -, -");
    assert_eq!(limits(both, "quota = \"unlimited\""), "-, -, -, -, -");
    assert_eq!(limits(both, "quota_to = \"20 GB/week\""), "-, -, -, -, 20 GB/week");
    let apart = "quota_from = \"1 TB/month\"\nquota_to = \"2 TB/month\"";
    assert_eq!(limits(apart, ""), "-, -, -, 1 TB/month, 2 TB/month");
    assert_eq!(limits(apart, "quota_to = \"unlimited\""), "-, -, -, 1 TB/month, -");
    assert_eq!(limits(apart, "quota = \"1 GB/day\""), "-, -, 1 GB/day, -, -");
}

#[test]
fn clients_that_name_no_resolver_ask_the_relay_for_names() {
    let dns = |names: &str, peer: &str| {
        let text = format!(
            "{{RELAY}}\nhost_access = \"all\"\n{names}\n[[peer]]\nname = \"a\"\n\
             public_key = \"{{KEY_A}}\"\n{peer}\n"
        );
        let relay = parsed(&text).expect("no problems").relay;
        relay.peers[0].dns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let names = "[names]\nzone = \"relay.internal\"";
    let v4 = "address = [\"10.3.2.2\"]";
    assert_eq!(dns("", v4), "");
    // The client could not reach an address of a family that it does not have.
    assert_eq!(dns(names, v4), "10.3.2.1, relay.internal");
    let both = "address = [\"10.3.2.2\", \"fd00::3:2:2\"]";
    assert_eq!(dns(names, both), "10.3.2.1, fd00::3:2:1, relay.internal");
    assert_eq!(dns(names, &format!("{v4}\ndns = []")), "");
    assert_eq!(dns(&format!("[defaults]\ndns = [\"192.0.2.53\"]\n{names}"), v4), "192.0.2.53");
}
