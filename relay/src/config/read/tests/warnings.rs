use super::*;

fn warnings(text: &str) -> String {
    let parsed = parsed(text).expect("no problems");
    Problems::new(parsed.warnings).to_string()
}

const A: &str = "[[peer]]\nname = \"a\"\npublic_key = \"{KEY_A}\"\n";
const B: &str = "[[peer]]\nname = \"b\"\npublic_key = \"{KEY_B}\"\n";
const C: &str = "[[peer]]\nname = \"c\"\npublic_key = \"{KEY_C}\"\n";

fn config(before: &str, a: &str, b: &str, c: &str) -> String {
    format!("{RELAY}{before}\n{A}{a}\n{B}{b}\n{C}{c}\n")
}

#[test]
fn one_sided_pairs() {
    let text = config(
        "",
        "address = [\"10.3.2.2\"]\nallowed_ips = [\"10.3.2.1\", \"10.3.2.3\", \"10.3.2.4\"]",
        "address = [\"10.3.2.3\"]\nallowed_ips = [\"10.3.2.2\"]",
        "address = [\"10.3.2.4\"]",
    );
    insta::assert_snapshot!(warnings(&text), @r#"
    relay.toml:8:40: a.allowed_ips: covers c (10.3.2.4), but allowed_ips of c lack 10.3.2.2; add "10.3.2.2/32" to allowed_ips of c, or remove 10.3.2.4 here
    "#);
}

#[test]
fn each_family_is_looked_at_by_itself() {
    let text = config(
        "",
        "address = [\"10.3.2.2\", \"fd00::3:2:2\"]\nallowed_ips = [\"10.3.2.3\", \"fd00::3:2:3\"]",
        "address = [\"10.3.2.3\", \"fd00::3:2:3\"]\nallowed_ips = [\"10.3.2.2\"]",
        // It has no IPv6 address, so its IPv6 entries come to nothing and need no answer.
        "address = [\"10.3.2.4\"]\nallowed_ips = [\"fd00::3:2:3\"]",
    );
    insta::assert_snapshot!(warnings(&text), @r#"
    relay.toml:8:28: a.allowed_ips: covers b (fd00::3:2:3), but allowed_ips of b lack fd00::3:2:2; add "fd00::3:2:2/128" to allowed_ips of b, or remove fd00::3:2:3 here
    "#);
}

#[test]
fn an_inherited_list_counts_as_the_peers_own() {
    let text = config(
        "[defaults]\nallowed_ips = [\"10.3.2.2\"]",
        "address = [\"10.3.2.2\"]\nallowed_ips = [\"10.3.2.3\"]",
        "address = [\"10.3.2.3\"]",
        "address = [\"10.3.2.4\"]",
    );
    insta::assert_snapshot!(warnings(&text), @r#"
    relay.toml:4:16: c.allowed_ips: covers a (10.3.2.2), but allowed_ips of a lack 10.3.2.4; add "10.3.2.4/32" to allowed_ips of a, or remove 10.3.2.2 here
    "#);
}

#[test]
fn routes_are_owned_by_longest_match() {
    let text = config(
        "",
        "address = [\"10.3.2.2\"]\nallowed_ips = [\"10.1.2.0/24\", \"10.2.0.0/16\"]",
        "address = [\"10.3.2.3\"]\nroutes = [\"10.0.0.0/8\"]\nallowed_ips = [\"10.3.2.2\"]",
        "address = [\"10.3.2.4\"]\nroutes = [\"10.1.0.0/16\"]",
    );
    insta::assert_snapshot!(warnings(&text), @r#"
    relay.toml:8:16: a.allowed_ips: covers c (10.1.0.0/16), but allowed_ips of c lack 10.3.2.2; add "10.3.2.2/32" to allowed_ips of c, or remove 10.1.0.0/16 here
    "#);
}

#[test]
fn entries_that_cover_nobody() {
    let text = config(
        "[defaults]\nallowed_ips = [\"10.3.2.77\"]",
        "address = [\"10.3.2.2\"]\nallowed_ips = [\"10.3.2.2\", \"10.3.2.128/25\", \"192.168.1.0/24\"]",
        "address = [\"10.3.2.3\"]\nallowed_ips = [\"10.3.2.1\", \"0.0.0.0/0\", \"::/0\"]",
        "address = [\"10.3.2.4\"]\nallowed_ips = [\"10.3.2.3\", \"10.3.2.2\"]",
    );
    insta::assert_snapshot!(warnings(&text), @r#"
    relay.toml:4:16: defaults.allowed_ips: 10.3.2.77 covers no peer; remove it, or give a peer an address in it
    relay.toml:9:16: a.allowed_ips: 10.3.2.2 covers only the peer itself; remove it
    relay.toml:9:28: a.allowed_ips: 10.3.2.128/25 covers no peer; remove it, or give a peer an address in it
    relay.toml:9:45: a.allowed_ips: 192.168.1.0/24 covers no peer; remove it, or give a peer an address in it
    relay.toml:14:28: b.allowed_ips: covers a (10.3.2.2), but allowed_ips of a lack 10.3.2.3; add "10.3.2.3/32" to allowed_ips of a, or remove 10.3.2.2 here
    relay.toml:19:28: c.allowed_ips: covers a (10.3.2.2), but allowed_ips of a lack 10.3.2.4; add "10.3.2.4/32" to allowed_ips of a, or remove 10.3.2.2 here
    "#);
}

#[test]
fn with_egress_an_entry_outside_the_overlay_is_a_permission() {
    let text = config(
        "egress = \"stack\"",
        "address = [\"10.3.2.2\"]\nallowed_ips = [\"192.168.1.0/24\"]",
        "address = [\"10.3.2.3\"]\nallowed_ips = [\"10.3.2.9\"]",
        "address = [\"10.3.2.4\"]\nallowed_ips = [\"10.3.2.1\"]",
    );
    insta::assert_snapshot!(warnings(&text), @r"
    relay.toml:13:16: b.allowed_ips: 10.3.2.9 covers no peer; remove it, or give a peer an address in it
    ");
}

#[test]
fn only_the_first_one_sided_pairs_are_listed() {
    let text = many_peers(100, "", |index| match index {
        0 => "allowed_ips = [\"10.0.0.0/16\"]".to_owned(),
        _ => String::new(),
    });
    let warnings = parsed(&text).expect("no problems").warnings;
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[20].problem, "79 more one-sided pairs are not listed");
}

#[test]
fn a_large_mesh_is_mutual() {
    let text = many_peers(2000, "allowed_ips = [\"10.0.0.0/16\"]", |_| String::new());
    let parsed = parsed(&text).expect("no problems");
    assert_eq!(parsed.relay.peers.len(), 2000);
    for (index, peer) in parsed.relay.peers.iter().enumerate() {
        assert_eq!(peer.name.as_str(), format!("n{index}"));
        assert_eq!(peer.addresses, [std::net::IpAddr::V4(many_address(index))]);
        assert_eq!(peer.allowed_ips.len(), 1);
    }
    assert_eq!(parsed.warnings, []);
}

#[test]
fn pairs_agree_with_a_search_of_all_pairs() {
    // Every third list is short, each in its own way.
    let mut text = many_peers(60, "allowed_ips = [\"10.0.0.0/16\"]", |index| match index % 3 {
        0 => format!("allowed_ips = [\"10.0.0.{}/30\"]", (index * 4) % 64),
        _ => String::new(),
    });
    // Rules open some of the pairs, in one direction.
    let rules = [("10.0.0.0/28", "10.0.0.32/27"), ("10.0.0.48/29", "10.0.0.16/28")];
    for (index, (from, to)) in rules.iter().enumerate() {
        text.push_str(&format!(
            "[[rule]]\nname = \"r{index}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n"
        ));
    }
    let net = |text: &str| text.parse::<ipnet::IpNet>().expect("a prefix");
    let opens = |from: &crate::model::Peer, to: &crate::model::Peer| {
        let [from, to] = [from, to].map(|peer| peer.addresses[0]);
        rules.iter().any(|(one, other)| {
            let (one, other) = (net(one), net(other));
            (one.contains(&from) && other.contains(&to))
                || (one.contains(&to) && other.contains(&from))
        })
    };
    let parsed = parsed(&text).expect("no problems");
    let peers = &parsed.relay.peers;
    let lists = |from: &crate::model::Peer, to: &crate::model::Peer| {
        from.allowed_ips.iter().any(|entry| entry.contains(&to.addresses[0]))
    };
    let pairs = peers.iter().flat_map(|from| peers.iter().map(move |to| (from, to)));
    let one_sided = pairs
        .filter(|(from, to)| from.name != to.name && lists(from, to) && !lists(to, from))
        .filter(|(from, to)| !opens(from, to))
        .count();
    let pairs =
        parsed.warnings.iter().filter(|warning| warning.problem.contains("but allowed_ips of"));
    assert_eq!(pairs.count(), 20);
    let last = parsed.warnings.last().expect("a warning");
    assert_eq!(last.problem, format!("{} more one-sided pairs are not listed", one_sided - 20));
}

#[test]
fn entries_that_cover_nobody_are_listed_up_to_a_limit() {
    let text = many_peers(30, "", |_| "allowed_ips = [\"10.0.99.1\"]".to_owned());
    let warnings = parsed(&text).expect("no problems").warnings;
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[20].problem, "10 more entries that cover no peer are not listed");
}

#[test]
fn the_search_for_pairs_says_when_it_gives_up() {
    // Each list covers everybody and differs from all others, by a neighbour.
    let text = many_peers(2000, "", |index| {
        format!("allowed_ips = [\"10.0.0.0/16\", \"{}\"]", many_address(index ^ 1))
    });
    let warnings = Problems::new(parsed(&text).expect("no problems").warnings).to_string();
    insta::assert_snapshot!(warnings, @r"
    relay.toml:10004:31: peer.allowed_ips: too many different wide lists to search for one-sided pairs; move a list that peers share to [defaults]
    ");
}

#[test]
fn a_port_that_nobody_listens_on_is_warned_about() {
    let text = "[relay]\naddress = [\"10.3.2.1/24\"]\nlisten_port = 51821\n\
                endpoint = \"vpn.example.org:51820\"\n{A}\nendpoint = \"[fd00::1]:51821\"\n";
    assert_eq!(
        warnings(text),
        "relay.toml:4:12: relay.endpoint: has port 51820, but the relay listens on 51821; write the \
         same port in both, unless a gateway forwards 51820 to 51821"
    );
}

#[test]
fn names_that_peers_cannot_ask_for() {
    let peer = |name: &str, key: &str, last: u8, more: &str| {
        format!(
            "[[peer]]\nname = \"{name}\"\npublic_key = \"{{KEY_{key}}}\"\n\
             address = [\"10.3.2.{last}\"]\n{more}\n"
        )
    };
    let named = |access: &str, more: &str, peers: &str| {
        warnings(&format!("{RELAY}{access}\n[names]\nzone = \"relay.internal\"\n{more}\n{peers}"))
    };
    let a = peer("a", "A", 2, "");
    insta::assert_snapshot!(named("", "", &a), @r#"
    relay.toml:4:1: names.forward: is missing, and clients that ask only the relay, such as that of a, find no other name; add forward = ["192.0.2.53"] with resolvers of yours, or dns to the peers or [defaults]
    relay.toml:5:8: names.zone: peers cannot ask for names: host_access lacks udp/53 and tcp/53; add "udp/53" and "tcp/53" to host_access in [relay]
    "#);
    let open = "host_access = [\"tcp/22\", \"tcp/53\"]";
    insta::assert_snapshot!(named(open, "forward = [\"192.0.2.53\"]", &a), @r#"
    relay.toml:5:8: names.zone: peers cannot ask for names: host_access lacks udp/53; add "udp/53" to host_access in [relay]
    "#);
    // It has a resolver of its own.
    let b = peer("b", "B", 3, "dns = [\"192.0.2.53\"]");
    assert_eq!(named("host_access = \"all\"", "", &b), "");
    let c = peer("c..d", "C", 4, "dns = []");
    insta::assert_snapshot!(named("host_access = \"all\"", "", &c), @r#"
    relay.toml:8:8: c..d.name: makes no domain name: "c..d.relay.internal", so that nobody can ask for it; rename the peer with `relay peer rename c..d`
    "#);
}
