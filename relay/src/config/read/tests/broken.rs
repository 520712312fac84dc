use super::*;

/// Broken main files, each with the name of what is wrong with it. `tests/snapshots` has the exact
/// message of each.
const BROKEN: &[(&str, &str)] = &[
    ("nothing at all", ""),
    ("no relay table", "[defaults]\nmtu = 1280\n"),
    ("no peers", "{RELAY}\n"),
    ("an empty list of peers", "peer = []\n{RELAY}\n"),
    (
        "own endpoints that are none",
        "{RELAY}\n{A}\nown_endpoint = \"node-a.example.org\"\n[[peer]]\nname = \"b\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.3\"]\nown_endpoint = \"10.3.2.3:51820\"\n",
    ),
    ("names without a zone", "{RELAY}\n[names]\nforward = []\n{A}\n"),
    ("names in a zone that is no domain", "{RELAY}\n[names]\nzone = \"relay internal\"\n{A}\n"),
    ("names in a zone in capitals", "{RELAY}\n[names]\nzone = \"Relay.Internal.\"\n{A}\n"),
    ("names among those of addresses", "{RELAY}\n[names]\nzone = \"2.3.10.in-addr.arpa\"\n{A}\n"),
    (
        "names that are forwarded to what is no resolver",
        "{RELAY}\n[names]\nzone = \"relay.internal\"\nforward = [\"dns.example.org\", \"::\", \"10.3.2.1\"]\n{A}\n",
    ),
    ("names as a list of tables", "{RELAY}\n[[names]]\nzone = \"relay.internal\"\n{A}\n"),
    ("a mesh without relays", "{RELAY}\n[mesh]\n{A}\n"),
    (
        "a mesh with everything wrong",
        "{RELAY}\nfast_path = false\ninterface = \"wireguard0\"\n[mesh]\nname = \"lon1\"\nport = 51819\nprivate_key_file = \"\"\npeers = 2\n[[mesh.relay]]\nname = \"fra1\"\npublic_key = \"{KEY_A}\"\nhost = \"192.0.2.11:51830\"\n[[mesh.relay]]\nname = \"fra1\"\npublic_key = \"{KEY_B}\"\nhost = \"10.3.2.9\"\n[[mesh.relay]]\nname = \"amsterdam\"\npublic_key = \"{KEY_B}\"\nhost = \"::\"\n{A}\n",
    ),
    (
        "a mesh with too few ports",
        "{RELAY}\n[mesh]\nport = 65535\n[[mesh.relay]]\nname = \"fra1\"\npublic_key = \"{KEY_B}\"\nhost = \"192.0.2.11\"\n[[mesh.relay]]\nname = \"fra2\"\npublic_key = \"{KEY_C}\"\nhost = \"192.0.2.12\"\n{A}\n",
    ),
    ("a relay of a mesh without anything", "{RELAY}\n[[mesh.relay]]\n{A}\n"),
    ("relays of a mesh that are no tables", "{RELAY}\n[mesh]\nrelay = [\"fra1\"]\n{A}\n"),
    ("relay without an address", "[relay]\nmtu = 1420\n{A}\n"),
    ("relay with an empty list of addresses", "[relay]\naddress = []\n{A}\n"),
    ("relay address without a length", "[relay]\naddress = [\"10.3.2.1\", \"fd00::3:2:1\"]\n{A}\n"),
    (
        "relay address is the network's",
        "[relay]\naddress = [\"10.3.2.0/24\", \"fd00::3:2:0/120\"]\n{A}\n",
    ),
    ("relay address is the broadcast address", "[relay]\naddress = [\"10.3.2.255/24\"]\n{A}\n"),
    ("overlay networks overlap", "[relay]\naddress = [\"10.3.2.1/24\", \"10.3.0.1/16\"]\n{A}\n"),
    (
        "overlay of addresses that are not forwarded",
        "[relay]\naddress = [\"127.0.0.5/8\", \"169.254.1.1/24\", \"fe80::1/64\", \"224.0.0.5/24\", \"0.0.0.1/0\", \"::ffff:10.3.2.1/120\", \"::1/128\"]\n{A}\n",
    ),
    (
        "prefix lengths that are none",
        "[relay]\naddress = [\"10.3.2.1/33\", \"fd00::1/129\", \"10.3.2.1/\", \"10.3.2.1/+8\", \"10.3.2.1/08\"]\n{A}\n",
    ),
    ("an unknown key", "{RELAY}\nlisten_prt = 51820\n{A}\n"),
    (
        "an unknown key in the style of wg",
        "{RELAY}\n[[peer]]\nName = \"a\"\nPublicKey = \"x\"\nAllowedIPs = []\n",
    ),
    ("an unknown table", "{RELAY}\n[[peers]]\nname = \"a\"\n[default]\nmtu = 1280\n"),
    ("keys before any table", "mtu = 1420\nallowed_ips = []\n{RELAY}\n{A}\n"),
    ("a peer as a single table", "{RELAY}\n[peer]\nname = \"a\"\n"),
    ("relay as a list of tables", "[[relay]]\naddress = [\"10.3.2.1/24\"]\n{A}\n"),
    (
        "wrong types",
        "[relay]\naddress = \"10.3.2.1/24\"\ninterface = 5\nlisten_port = \"51820\"\nmtu = 1420.5\nfast_path = \"yes\"\nfence = 1\negress = false\nhost_access = 22\n{A}\n",
    ),
    (
        "wrong types in a peer",
        "{RELAY}\n[[peer]]\nname = [\"a\"]\npublic_key = 5\naddress = [10.3, 4]\nroutes = {}\nallowed_ips = \"10.3.2.2\"\npersistent_keepalive = true\ndns = 2020-01-01\n",
    ),
    (
        "numbers out of range",
        "{RELAY}\nlisten_port = 0\nmtu = 9001\n[defaults]\npersistent_keepalive = 65536\nmtu = -1\n{A}\nmtu = 99999999999999999999999999\n",
    ),
    ("a webhook with nothing", "{RELAY}\n{A}\n[[webhook]]\n"),
    (
        "a webhook with everything wrong",
        "{RELAY}\n{A}\n[[webhook]]\nname = \"Ops\"\nurl = \"http://hooks.example.org/token\"\nsecret_file = \"\"\nevents = [\"peer_ofline\", \"lost\", \"everything\"]\nsecret = \"a\"\n",
    ),
    (
        "a webhook that is told nothing",
        "{RELAY}\n{A}\n[[webhook]]\nname = \"ops\"\nurl = \"https://me@hooks.example.org/\"\nsecret_file = \"ops\"\nevents = []\n",
    ),
    (
        "a webhook's name twice",
        "{RELAY}\n{A}\n[[webhook]]\nname = \"ops\"\nurl = \"https://a.example\"\nsecret_file = \"ops\"\n[[webhook]]\nname = \"ops\"\nurl = \"https://a.example\"\nsecret_file = \"ops\"\n",
    ),
    ("bad interface names", "{RELAY}\ninterface = \"relay-interface-0\"\n{A}\n"),
    ("an interface name with a slash", "{RELAY}\ninterface = \"wg/0\"\n{A}\n"),
    (
        "bad peer names",
        "{RELAY}\n[[peer]]\nname = \"\"\n[[peer]]\nname = \"Node B\"\n[[peer]]\nname = \"-a\"\n",
    ),
    (
        "a name twice",
        "{RELAY}\n{A}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.3\"]\n",
    ),
    (
        "a public key twice",
        "{RELAY}\n{A}\n[[peer]]\nname = \"b\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.3\"]\n",
    ),
    (
        "bad public keys",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}=\"\naddress = [\"10.3.2.2\"]\n[[peer]]\nname = \"b\"\npublic_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\naddress = [\"10.3.2.3\"]\n",
    ),
    ("a peer with nothing", "{RELAY}\n[[peer]]\n"),
    (
        "a peer without an address",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = []\n",
    ),
    (
        "addresses outside the overlay",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.3.2\", \"fd00::4:2\"]\n",
    ),
    (
        "an interface name of the kernel",
        "[relay]\naddress = [\"10.3.2.1/24\"]\ninterface = \"all\"\n{A}\n",
    ),
    (
        "an interface name of sysctl",
        "[relay]\naddress = [\"10.3.2.1/24\"]\ninterface = \"default\"\n{A}\n",
    ),
    (
        "search domains without a resolver",
        "{RELAY}\n[defaults]\ndns = [\"lan\"]\n{A}\ndns = [\"corp.example.org\", \"lan\"]\n",
    ),
    (
        "bad entries of dns",
        "{RELAY}\n{A}\ndns = [\"10.3.2\", \"::\", \"a b\", \"-x.org\", \"10.3.2.1/32\"]\n",
    ),
    (
        "addresses of the relay and the network",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.1\", \"10.3.2.0\", \"10.3.2.255\", \"fd00::3:2:0\"]\n",
    ),
    (
        "one address of two peers",
        "{RELAY}\n{A}\n[[peer]]\nname = \"b\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.2/32\"]\n",
    ),
    (
        "one route of two peers",
        "{RELAY}\n{A}\nroutes = [\"192.168.40.0/24\"]\n[[peer]]\nname = \"b\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.3\"]\nroutes = [\"192.168.40.0/24\", \"10.3.2.2\"]\n",
    ),
    ("routes that repeat what the peer owns", "{RELAY}\n{A}\nroutes = [\"10.3.2.2/32\"]\n"),
    (
        "routes to the overlay and the relay",
        "{RELAY}\n{A}\nroutes = [\"10.3.2.0/24\", \"10.3.2.1/32\"]\n",
    ),
    (
        "an address written as a network",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.3/24\", \"fd00::3:2:3/120\"]\n",
    ),
    (
        "host bits",
        "{RELAY}\n{A}\nroutes = [\"192.168.40.1/24\"]\nallowed_ips = [\"10.3.2.5/24\", \"fd00::3:2:3/120\"]\n",
    ),
    (
        "what no router forwards",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"127.0.0.1\", \"::\", \"224.0.0.1\"]\nroutes = [\"fe80::/64\", \"169.254.3.0/24\", \"ff02::/16\"]\nallowed_ips = [\"255.255.255.255\", \"::ffff:0:0/96\", \"0.0.0.0\"]\n",
    ),
    (
        "no addresses",
        "{RELAY}\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.300\", \"010.3.2.2\", \"fe80::1%eth0\", \" 10.3.2.2\"]\nallowed_ips = [\"node-b\", \"\"]\n",
    ),
    (
        "an entry twice",
        "{RELAY}\nhost_access = [\"tcp/22\", \"tcp/22\"]\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.2\", \"10.3.2.2/32\"]\nallowed_ips = [\"10.3.2.3\", \"10.3.2.3/32\"]\ndns = [\"10.3.2.1\", \"10.3.2.1\"]\n",
    ),
    ("bad host access", "{RELAY}\nhost_access = \"some\"\n{A}\n"),
    ("host access as one port", "{RELAY}\nhost_access = \"tcp/22\"\n{A}\n"),
    (
        "host access with bad ports",
        "{RELAY}\nhost_access = [\"22\", \"tcp/0\", \"icmp/8\", \"udp/65536\", \"tcp/022\", 22]\n{A}\n",
    ),
    ("host access as an empty list", "{RELAY}\nhost_access = []\n{A}\n"),
    (
        "wrong types of a guard",
        "{RELAY}\n[guard]\nenabled = \"no\"\ninterfaces = 5\nmode = true\ninitiations_per_second = \"50\"\nburst = 1.5\nsources = []\n{A}\n",
    ),
    (
        "a guard's numbers out of range",
        "{RELAY}\n[guard]\ninitiations_per_second = 0\nburst = 1000001\nsources = 1023\n{A}\n",
    ),
    ("a guard in an unknown mode", "{RELAY}\n[guard]\nmode = \"native\"\n{A}\n"),
    ("a guard on one interface without a list", "{RELAY}\n[guard]\ninterfaces = \"eth0\"\n{A}\n"),
    ("a guard on no interface", "{RELAY}\n[guard]\ninterfaces = []\n{A}\n"),
    (
        "a guard on what is no interface",
        "{RELAY}\n[guard]\ninterfaces = [\"\", \"eth 0\", \"..\", \"eth/0\", \"eth0:1\", \"an-interface-name\", \"auto\", 5]\n{A}\n",
    ),
    (
        "a guard twice on one interface",
        "{RELAY}\n[guard]\ninterfaces = [\"eth0\", \"eth0\"]\n{A}\n",
    ),
    ("a guard on the relay itself", "{RELAY}\n[guard]\ninterfaces = [\"eth0\", \"relay0\"]\n{A}\n"),
    (
        "a guard that is off is read all the same",
        "{RELAY}\n[guard]\nenabled = false\nmode = \"off\"\ninterface = \"eth0\"\n{A}\n",
    ),
    ("a guard as a list of tables", "{RELAY}\n[[guard]]\nenabled = true\n{A}\n"),
    ("a guard's keys before any table", "burst = 5\n{RELAY}\n{A}\n"),
    ("bad egress", "{RELAY}\negress = \"allow\"\n{A}\n"),
    (
        "bad endpoints",
        "{RELAY}\nendpoint = \"vpn.example.org\"\n[[peer]]\nname = \"a\"\nendpoint = \"fd00::1:51820\"\n[[peer]]\nname = \"b\"\nendpoint = \"fd00::1\"\n[[peer]]\nname = \"c\"\nendpoint = \"vpn.example.org:0\"\n[[peer]]\nname = \"d\"\nendpoint = \"203.0.113.300:51820\"\n[[peer]]\nname = \"e\"\nendpoint = \"0.0.0.0:51820\"\n[[peer]]\nname = \"f\"\nendpoint = \"-a.example.org:51820\"\n[[peer]]\nname = \"g\"\nendpoint = \"[vpn]:51820\"\n",
    ),
    (
        "an endpoint inside the overlay",
        "{RELAY}\nendpoint = \"10.3.2.1:51820\"\n{A}\nendpoint = \"[fd00::3:2:1]:51820\"\n",
    ),
    (
        "an mtu too small for IPv6",
        "{RELAY}\nmtu = 1279\n[defaults]\nmtu = 1000\n[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\naddress = [\"fd00::3:2:2\"]\n[[peer]]\nname = \"b\"\npublic_key = \"{KEY_B}\"\naddress = [\"fd00::3:2:3\"]\nmtu = 1200\n",
    ),
    (
        "bad resolvers",
        "{RELAY}\n[defaults]\ndns = [\"dns.example.org\", \"10.3.2.1/24\", \"0.0.0.0\", \"ff02::1\"]\n{A}\n",
    ),
    (
        "bad limits",
        "{RELAY}\n[defaults]\nrate_from = 10\nrate_to = \"10 Mbps\"\nquota = \"1 TB/month\"\nquota_to = \"1 GB/day\"\n{A}\nrate_to = \"1 kbit/s\"\nquota = \"1 GB/week\"\nquota_from = \"1 B/day\"\nquota_to = \"unlimited\"\n",
    ),
    ("bad descriptions", "{RELAY}\n{A}\ndescription = \"one\\ntwo\"\n"),
    ("an empty key file name", "{RELAY}\nprivate_key_file = \"\"\n{A}\n"),
    (
        "keys in place of key files",
        "{RELAY}\nprivate_key_file = \"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\"\n[[peer]]\nname = \"a\"\npreshared_key_file = \"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC\"\n",
    ),
    (
        "keys inline",
        "{RELAY}\nprivate_key = \"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\"\n[[peer]]\nname = \"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\"\npreshared_key = \"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\"\naddress = [\"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\"]\nendpoint = \"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\"\n\"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\" = 1\n",
    ),
    ("a duplicate key", "{RELAY}\nmtu = 1420\nmtu = 1280\n{A}\n"),
    ("a duplicate table", "{RELAY}\n[relay]\nmtu = 1420\n{A}\n"),
    ("a value without quotes", "{RELAY}\ninterface = relay0\n{A}\n"),
    ("an unclosed string and more", "{RELAY}\nendpoint = \"vpn\nmtu = 5\n[[peer]]\nname = \"a\"\n"),
    ("an unclosed table header", "[relay\naddress = [\"10.3.2.1/24\"]\n"),
    ("an unclosed list", "[relay]\naddress = [\"10.3.2.1/24\"\nmtu = 1420\n"),
    (
        "wide characters before a problem",
        "{RELAY}\n[[peer]]\nname = \"a\"\ndescription = \"Büro 🖥\"\npublic_key = \"{KEY_A}\"\naddress = [\"10.3.2.2\"] # ä\nallowed_ips = [ \"ä\", \"10.3.2.9/24\" ]\n",
    ),
];

#[test]
fn each_broken_file_has_its_message() {
    let mut report = String::new();
    for (name, text) in BROKEN {
        let text = filled(text);
        report.push_str(&format!("=== {name}\n{text}---\n{}\n\n", problems(&[&text])));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn names_are_of_one_case_each() {
    let names: std::collections::HashSet<_> = BROKEN.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), BROKEN.len());
}

#[test]
fn problems_of_all_files_are_reported_at_once_in_order() {
    let main = "{RELAY}
mtu = 100
host_acces = \"ping\"

[[peer]]
name = \"node-b\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\", \"10.9.9.9\"]
allowed_ips = [\"10.3.2.2/24\"]
";
    let first = "[[peer]]
name = \"node-b\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\"]

[defaults]
mtu = 1280
";
    let second = "[[peer]]
name = \"node-c\"
public_key = \"no key\"
address = [\"10.3.2.1\"]
psk = \"x\"

[[peer]]
name = node-d
";
    insta::assert_snapshot!(problems(&[main, first, second]));
}

#[test]
fn a_file_that_cannot_be_read_hides_nothing_of_the_others() {
    let mut sources = sources(&["{RELAY}\nmtu = 5\n", ""]);
    sources[1].text = Err(Fault::new("cannot be read: no", "make it readable"));
    let problems = parse(&sources, Options::default()).expect_err("problems");
    insta::assert_snapshot!(problems, @r"
    relay.toml:3:7: relay.mtu: 5 is outside 576 to 9000; write mtu = 1420
    relay.d/1.toml:1:1: file: cannot be read: no; make it readable
    ");
}

#[test]
fn no_secret_is_ever_shown() {
    for (name, text) in BROKEN {
        let problems = problems(&[text]);
        assert!(!problems.contains("dwdtCn"), "{name}: {problems}");
    }
}
