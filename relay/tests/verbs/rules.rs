//! Rules, groups and tests of the configuration, as `check` and the verbs of `peer` know them.

use super::site::Site;

/// Administrators may ssh to servers, and everybody may read the website.
const RULES: &str = include_str!("../../../examples/rules.toml");

/// The relay's key, which clients need.
fn with_key(site: Site) -> Site {
    let key = site.relay("genkey").ended(0).out;
    site.write("private.key", &key, 0o600);
    site.write(
        "relay.toml",
        &RULES.replace("[relay]\n", "[relay]\nprivate_key_file = \"private.key\"\n"),
        0o600,
    );
    site
}

#[test]
fn the_example_holds_what_its_tests_ask_for() {
    insta::assert_snapshot!(Site::with(RULES).relay("check").ended(0));
}

#[test]
fn a_test_that_fails_says_what_the_policy_says() {
    let site = Site::with(RULES);
    let tests = [
        ("ann", "db", "allow", "\"tcp/443\", \"tcp/22\", \"sctp\""),
        ("db", "ann", "allow", "\"tcp/22\""),
        ("guest", "bob", "allow", "\"icmp/echo\", \"tcp/22\""),
        ("bob", "10.3.2.5", "deny", "\"tcp/23\", \"tcp/22\""),
        ("listed", "open", "deny", "\"gre\""),
        ("listed", "ann", "allow", "\"udp/53\""),
        ("ann", "listed", "allow", "\"udp/53\""),
        ("ann", "late", "allow", "\"udp/53\""),
        ("late", "off", "allow", "\"udp/53\""),
    ];
    let mut text =
        "[[rule]]\nname = \"over\"\nfrom = [\"ann\"]\nto = [\"late\"]\nports = [\"udp/53\"]\n\
                    until = 2001-01-01T00:00:00Z\n"
            .to_owned();
    for (from, to, key, services) in tests {
        text.push_str(&format!(
            "[[test]]\nfrom = \"{from}\"\nto = \"{to}\"\n{key} = [{services}]\n"
        ));
    }
    let peers = [
        ("listed", 20, "allowed_ips = [\"10.3.2.2\", \"10.3.2.21\"]"),
        ("open", 21, "allowed_ips = [\"10.3.2.20\"]"),
        ("late", 22, ""),
        ("off", 23, "enabled = false"),
    ];
    for (name, last, line) in peers {
        let key = site.relay("genkey").ended(0).out;
        let key = site.relay_with("genkey --public", &key).ended(0).out;
        text.push_str(&format!(
            "[[peer]]\nname = \"{name}\"\npublic_key = \"{}\"\naddress = [\"10.3.2.{last}\"]\n{line}\n",
            key.trim()
        ));
    }
    site.write("relay.d/tests.toml", &text, 0o600);
    let run = site.relay("check").ended(2);
    insta::assert_snapshot!(run);
    let candidate = format!("try {}", site.path("relay.toml").display());
    for verb in ["up --dry-run", "up --json", "reload --dry-run", &candidate] {
        assert_eq!(site.relay(verb).ended(2).err, run.err, "{verb}");
    }
    let (_, last) = text.split_once("[[test]]").expect("tests");
    let (_, peers) = last.split_once("[[peer]]").expect("peers");
    let rule = text.split("[[test]]").next().expect("a rule");
    site.write("relay.d/tests.toml", &format!("{rule}[[peer]]{peers}"), 0o600);
    insta::assert_snapshot!(site.relay("check").ended(0));
}

#[test]
fn a_client_gets_what_its_list_and_rules_give() {
    let site = with_key(Site::with(RULES));
    let allowed_ips = |name: &str| {
        let run = site.relay(&format!("peer config {name}")).ended(0);
        run.out.lines().find(|line| line.starts_with("AllowedIPs")).unwrap_or_default().to_owned()
    };
    assert_eq!(allowed_ips("ann"), "AllowedIPs = 10.3.2.0/24, fd00::3:2:0/120");
    let exact = site.read("relay.toml").replace("\"overlay\"", "\"exact\"");
    site.write("relay.toml", &exact, 0o600);
    // Everybody pings the servers, so these need everybody's address, and nobody else needs more.
    assert_eq!(allowed_ips("guest"), "AllowedIPs = 10.3.2.4/31, fd00::3:2:4/127");
    assert_eq!(
        allowed_ips("db"),
        "AllowedIPs = 10.3.2.2/31, 10.3.2.4/32, 10.3.2.6/32, fd00::3:2:2/127, fd00::3:2:4/128, \
         fd00::3:2:6/128"
    );
    let list = site.relay("peer list --json").ended(0).json("peers");
    assert_eq!(list["peers"][0]["groups"][0], "admins");
    assert_eq!(list["peers"][0]["clientAllowedIps"][0], "10.3.2.4/31");
    insta::assert_snapshot!(site.relay("peer list").ended(0));
}

#[test]
fn with_the_overlay_no_rule_makes_a_client_stale() {
    let site = with_key(Site::with(RULES));
    for name in ["ann", "bob", "web", "db", "guest"] {
        site.relay(&format!("peer config {name}")).ended(0);
    }
    let current = site.relay("peer config --stale").ended(0);
    assert!(current.out.contains("every client was shown its current"), "{current}");
    let more = "[[rule]]\nname = \"more\"\nfrom = [\"guest\"]\nto = [\"bob\"]\n";
    site.write("relay.d/more.toml", more, 0o600);
    assert_eq!(site.relay("peer config --stale").ended(0).out, current.out);
    let exact = site.read("relay.toml").replace("\"overlay\"", "\"exact\"");
    site.write("relay.toml", &exact, 0o600);
    let stale = site.relay("peer config --stale").ended(0);
    assert!(stale.out.contains("bob: changed since it was shown"), "{stale}");
}

/// Ann and bob are in a group that two files name.
fn with_fragment() -> Site {
    let site = Site::with(RULES);
    site.write(
        "relay.d/more.toml",
        "[[rule]]\nname = \"bob-db\"\nfrom = [\n  \"bob\",   # on call\n  \"ann\",\n]\nto = ['db']\n\
         except = [\"bob\", \"guest\"]\nports = [\"tcp/22\"]\n",
        0o600,
    );
    site
}

#[test]
fn a_peer_is_renamed_wherever_it_is_named() {
    let site = with_fragment();
    let before = site.tree();
    insta::assert_snapshot!(site.relay("peer rename ann anna --dry-run").ended(0));
    assert_eq!(site.tree(), before);
    insta::assert_snapshot!(site.relay("peer rename ann anna").ended(0));
    site.relay("check").ended(0);
    let main = site.read("relay.toml");
    assert_eq!(main.matches("\"anna\"").count(), RULES.matches("\"ann\"").count());
    site.relay("peer rename anna ann").ended(0);
    assert_eq!(site.tree(), before);
    site.relay("peer rename ann any").ended(2);
}

#[test]
fn a_peer_goes_from_groups_and_rules() {
    let site = with_fragment();
    insta::assert_snapshot!(site.relay("peer remove bob --dry-run").ended(0));
    insta::assert_snapshot!(site.relay("peer remove bob").ended(0));
    insta::assert_snapshot!(site.read("relay.d/more.toml"));
    assert!(site.read("relay.toml").contains("admins  = [\"ann\"]\n"));
    site.relay("check").ended(0);
}

#[test]
fn a_peer_stays_while_a_rule_or_a_test_is_about_it_alone() {
    let site = with_fragment();
    let before = site.tree();
    insta::assert_snapshot!(site.relay("peer remove db").ended(2));
    assert_eq!(site.tree(), before);
}

#[test]
fn a_change_that_fails_a_test_is_not_made() {
    let site = Site::with(RULES);
    site.write(
        "relay.d/open.toml",
        "[[rule]]\nname = \"open\"\nfrom = [\"group:open\"]\nto = [\"group:admins\"]\n[[peer]]\n\
         name = \"x\"\npublic_key = \"F7HjFCYMPRl4YQfacDLcuZAtSdwOBD4M4ECFTzaXBy8=\"\n\
         address = [\"10.3.2.9\"]\ngroups = [\"open\"]\n[[test]]\nfrom = \"10.3.2.10\"\nto = \"ann\"\n\
         deny = [\"tcp/22\"]\n[[peer]]\nname = \"y\"\n\
         public_key = \"E2WpFYbaxQs/cXG8egHaXm1wN7yQjE5WRxa7njhmYQA=\"\naddress = [\"10.3.2.11\"]\n\
         routes = [\"10.3.2.10\"]\n",
        0o600,
    );
    site.relay("check").ended(0);
    let before = site.tree();
    let add = "peer add z --public-key YzI3qqnN4/qerogu1XaBi06pIhO81sSbs3/745oJNEQ=";
    let run = site.relay(&format!("{add} --group open --group servers"));
    run.ended(0);
    insta::assert_snapshot!(site.read("relay.d/z.toml"));
    site.relay("peer remove z").ended(0);
    assert_eq!(site.tree(), before);
    site.relay(&format!("{add} --group Open")).ended(2);
    site.write(
        "relay.d/late.toml",
        "[[rule]]\nname = \"late\"\nfrom = [\"y\"]\nto = [\"ann\"]\n",
        0o600,
    );
    let run = site.relay(&format!("{add} --dry-run")).ended(2);
    assert!(run.err.contains("passes by rule late"), "{run}");
}
