//! Messages about groups, rules and tests.

use super::*;

/// Peers a and b with both families, c with IPv4 and a network, off without being enabled; groups
/// abc (a, b, c), two (b) and none.
const PEERS: &str = "{RELAY}
[groups]
abc = [\"a\", \"group:two\", \"c\"]
two = [\"b\"]
[[peer]]
name = \"a\"
public_key = \"{KEY_A}\"
address = [\"10.3.2.2\", \"fd00::3:2:2\"]
[[peer]]
name = \"b\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\", \"fd00::3:2:3\"]
[[peer]]
name = \"c\"
public_key = \"{KEY_C}\"
address = [\"10.3.2.4\"]
routes = [\"192.168.0.0/24\"]
[[peer]]
name = \"off\"
public_key = \"V0BfLvnbfRDs+GztpyV7AyoRn+igiOaILHveYYSex3U=\"
address = [\"10.3.2.5\"]
enabled = false
";

/// Rules and tests below [`PEERS`], each with the name of what is wrong with them.
const BROKEN: &[(&str, &str)] = &[
    ("a rule with nothing", "[[rule]]\n"),
    ("a rule for nobody", "[[rule]]\nname = \"r\"\nfrom = []\nto = []\nports = []\nexcept = []\n"),
    (
        "wrong types",
        "[[rule]]\nname = 5\nfrom = \"a\"\nto = [1]\nexcept = \"b\"\nports = \"tcp/22\"\nboth_ways = \"yes\"\nuntil = \"2030-01-01T00:00:00Z\"\n",
    ),
    (
        "ends of rules that are no time",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\nuntil = 2030-01-01T00:00:00\n[[rule]]\nname = \"s\"\nfrom = [\"a\"]\nto = [\"b\"]\nuntil = 2030-01-01\n[[rule]]\nname = \"t\"\nfrom = [\"a\"]\nto = [\"b\"]\nuntil = \"tomorrow\"\n",
    ),
    (
        "an unknown key",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\nport = [\"tcp/22\"]\n",
    ),
    (
        "bad names of rules",
        "[[rule]]\nname = \"Ops\"\nfrom = [\"a\"]\nto = [\"b\"]\n[[rule]]\nname = \"a-name-of-more-than-thirty-two-bytes\"\nfrom = [\"a\"]\nto = [\"b\"]\n",
    ),
    (
        "a name of a rule twice",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\n[[rule]]\nname = \"r\"\nfrom = [\"b\"]\nto = [\"c\"]\n",
    ),
    (
        "names that nobody has",
        "[[rule]]\nname = \"r\"\nfrom = [\"of\", \"nobody\", \"two\"]\nto = [\"group:abd\", \"group:nobody\", \"group:c\"]\nexcept = [\"group:tow\"]\n[[test]]\nfrom = \"ofd\"\nto = \"two\"\ndeny = [\"tcp/22\"]\n",
    ),
    (
        "sides that are none",
        "[[rule]]\nname = \"r\"\nfrom = [\"Node B\", \"group:Ops\", \"group:\", \"*\"]\nto = [\"10.3.2.5/24\", \"10.3.2.300\", \"10.3.2.0/33\", \"224.0.0.0/4\", \"fd00::g\"]\n",
    ),
    (
        "entries twice",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\", \"a\"]\nto = [\"10.3.2.3\", \"10.3.2.3/32\"]\nexcept = [\"group:two\", \"group:two\"]\nports = [\"tcp/22\", \"tcp/22-22\", \"sctp\", \"proto/132\"]\n",
    ),
    (
        "ports that are none",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\nports = [\"tcp/0\", \"tcp/90-80\", \"sctp/80\", \"icmp/80\", \"htp\", \"proto/6\", \"proto/300\", 22]\n",
    ),
    (
        "everything is excepted",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\", \"b\"]\nto = [\"c\"]\nexcept = [\"group:abc\"]\n[[rule]]\nname = \"s\"\nfrom = [\"any\"]\nto = [\"any\"]\nexcept = [\"any\"]\n",
    ),
    (
        "networks that no peer owns",
        "[[rule]]\nname = \"r\"\nfrom = [\"10.9.0.0/16\"]\nto = [\"fd01::1\"]\n",
    ),
    ("a rule of one peer", "[[rule]]\nname = \"r\"\nfrom = [\"b\"]\nto = [\"group:two\"]\n"),
    (
        "sides without a common family",
        "[[rule]]\nname = \"r\"\nfrom = [\"fd00::3:2:0/120\"]\nto = [\"c\"]\n",
    ),
    ("a test with nothing", "[[test]]\n"),
    (
        "tests of what is no peer and no service",
        "[[test]]\nfrom = \"any\"\nto = \"group:two\"\nallow = [\"tcp\", \"tcp/22-23\", \"icmp/8\"]\n[[test]]\nfrom = \"10.3.2.0/24\"\nto = [\"a\"]\ndeny = \"tcp/22\"\n",
    ),
    (
        "a test that contradicts itself",
        "[[test]]\nfrom = \"a\"\nto = \"b\"\nallow = [\"tcp/22\", \"sctp\"]\ndeny = [\"proto/132\", \"tcp/22\", \"tcp/22\"]\n",
    ),
    (
        "tests of addresses that are no peer's",
        "[[test]]\nfrom = \"10.3.2.77\"\nto = \"10.3.2.1\"\ndeny = [\"tcp/22\"]\n",
    ),
    ("a test of a peer with itself", "[[test]]\nfrom = \"a\"\nto = \"a\"\ndeny = [\"tcp/22\"]\n"),
    ("a test of one peer", "[[test]]\nfrom = \"c\"\nto = \"192.168.0.7\"\ndeny = [\"tcp/22\"]\n"),
    (
        "a test between addresses of two families",
        "[[test]]\nfrom = \"10.3.2.2\"\nto = \"fd00::3:2:3\"\ndeny = [\"tcp/22\"]\n",
    ),
    (
        "a test without a common family",
        "[[test]]\nfrom = \"fd00::3:2:2\"\nto = \"c\"\ndeny = [\"tcp/22\"]\n",
    ),
];

/// Groups, each with the name of what is wrong with them.
const BROKEN_GROUPS: &[(&str, &str)] = &[
    ("a group in itself", "[groups]\na = [\"group:a\"]\n"),
    (
        "groups in each other",
        "[groups]\nouter = [\"group:x\"]\nx = [\"a\", \"group:y\"]\ny = [\"group:z\"]\nz = [\"group:x\"]\n",
    ),
    (
        "members that are none",
        "[groups]\nx = [\"nobody\", \"group:nothing\", \"y\", \"any\", \"10.3.2.2\", \"10.3.2.0/24\", \"A\", 5]\ny = [\"a\", \"a\"]\n",
    ),
    ("a group that is no list", "[groups]\nx = \"a\"\ny = 5\n"),
    ("bad names of groups", "[groups]\nOps = [\"a\"]\n\"\" = [\"a\"]\n\"group:x\" = [\"a\"]\n"),
    ("groups as a list of tables", "[[groups]]\nx = [\"a\"]\n"),
    (
        "a peer named any, in groups that have no names",
        "[[peer]]\nname = \"any\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.3\"]\ngroups = [\"Ops\", \"group:x\", \"x\", \"x\"]\n",
    ),
    ("an unknown word for client files", "[defaults]\nclient_allowed_ips = \"all\"\n"),
    ("rules as a single table", "[rule]\nname = \"r\"\n"),
    ("a test as a number", "test = 5\n"),
];

/// Rules and tests below [`PEERS`] that are valid, each with the name of what looks wrong with them.
const WARNED: &[(&str, &str)] = &[
    (
        "rules of peers that are disabled",
        "[[rule]]\nname = \"r\"\nfrom = [\"off\"]\nto = [\"a\"]\n[[rule]]\nname = \"s\"\nfrom = [\"a\"]\nto = [\"10.3.2.5\", \"a\"]\n",
    ),
    (
        "entries that cover nobody beside others that do",
        "[[rule]]\nname = \"r\"\nfrom = [\"10.9.0.0/16\", \"a\"]\nto = [\"b\", \"c\", \"10.3.2.77\"]\nexcept = [\"c\", \"off\", \"10.3.2.99\"]\n",
    ),
    (
        "services in each other",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\nports = [\"tcp/22\", \"tcp/20-30\", \"tcp\", \"udp/53\", \"icmp\", \"icmp/echo\"]\n",
    ),
    (
        "rules that say the same",
        "[[rule]]\nname = \"r\"\nfrom = [\"a\", \"c\"]\nto = [\"b\"]\nports = [\"tcp/22\", \"udp/53\"]\n[[rule]]\nname = \"s\"\nto = [\"b\"]\nfrom = [\"c\", \"a\"]\nports = [\"udp/53\", \"tcp/22\"]\n[[rule]]\nname = \"t\"\nto = [\"c\", \"a\"]\nfrom = [\"b\"]\nports = [\"udp/53\", \"tcp/22\"]\n",
    ),
    (
        "a test of a peer that is disabled",
        "[[test]]\nfrom = \"off\"\nto = \"10.3.2.2\"\nallow = [\"tcp/22\"]\n",
    ),
];

#[test]
fn each_broken_rule_has_its_message() {
    let report = BROKEN.iter().map(|(name, text)| {
        format!("=== {name}\n{text}---\n{}\n\n", problems(&[PEERS, &filled(text)]))
    });
    insta::assert_snapshot!(report.collect::<String>());
}

#[test]
fn each_broken_group_has_its_message() {
    let report = BROKEN_GROUPS.iter().map(|(name, text)| {
        let text = format!("{{RELAY}}\n{text}{{A}}\n");
        let text =
            if text.contains("test = 5") { "test = 5\n{RELAY}\n{A}\n".to_owned() } else { text };
        let text = filled(&text);
        format!("=== {name}\n{text}---\n{}\n\n", problems(&[&text]))
    });
    insta::assert_snapshot!(report.collect::<String>());
}

fn warned(texts: &[&str]) -> String {
    let loaded = parse(&sources(texts), Options::default()).expect("no problems");
    Problems::new(loaded.warnings).to_string()
}

#[test]
fn each_rule_that_looks_wrong_has_its_warning() {
    let report = WARNED
        .iter()
        .map(|(name, text)| format!("=== {name}\n{text}---\n{}\n\n", warned(&[PEERS, text])));
    insta::assert_snapshot!(report.collect::<String>());
}

#[test]
fn an_empty_group_is_a_warning_wherever_it_is_used() {
    let text = "{RELAY}
[groups]
none = []
[[rule]]
name = \"r\"
from = [\"group:none\"]
to = [\"a\"]
{A}
";
    insta::assert_snapshot!(warned(&[text]));
}

/// Peers a and b that list each other, and c that only lists b.
fn listing(rules: &str) -> String {
    format!(
        "{{RELAY}}\n[[peer]]\nname = \"a\"\npublic_key = \"{{KEY_A}}\"\naddress = [\"10.3.2.2\"]\n\
         allowed_ips = [\"10.3.2.0/24\"]\n[[peer]]\nname = \"b\"\npublic_key = \"{{KEY_B}}\"\n\
         address = [\"10.3.2.3\"]\nallowed_ips = [\"10.3.2.2\"]\n[[peer]]\nname = \"c\"\n\
         public_key = \"{{KEY_C}}\"\naddress = [\"10.3.2.4\"]\nallowed_ips = [\"10.3.2.3\"]\n{rules}"
    )
}

#[test]
fn a_rule_adds_nothing_to_pairs_that_lists_open() {
    let open = "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\nports = [\"tcp/22\"]\n";
    insta::assert_snapshot!(warned(&[&listing(open)]));
    let wider = open.replace("[\"b\"]", "[\"b\", \"c\"]");
    assert!(!warned(&[&listing(&wider)]).contains("adds nothing"));
    let any = open.replace("[\"a\"]", "[\"any\"]").replace("[\"b\"]", "[\"any\"]");
    assert!(!warned(&[&listing(&any)]).contains("adds nothing"));
}

#[test]
fn a_pair_that_a_rule_opens_is_not_one_sided() {
    let one_sided = |rules: &str| {
        let text = listing(rules);
        let loaded = parse(&sources(&[&text]), Options::default()).expect("no problems");
        let warned = Problems::new(loaded.warnings).to_string().matches("lack").count();
        let listed: usize = one_sided(&loaded.relay).expect("few").iter().map(Vec::len).sum();
        assert_eq!(warned, listed);
        listed
    };
    let rule = |from: &str, to: &str| {
        format!(
            "[[rule]]\nname = \"{from}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\nports = [\"tcp/1\"]\n"
        )
    };
    assert_eq!(one_sided(""), 2, "a lists c, and c lists b");
    assert_eq!(one_sided(&rule("c", "a")), 1, "either may begin");
    assert_eq!(one_sided(&(rule("b", "c") + &rule("c", "a"))), 0);
    assert_eq!(one_sided(&rule("any", "a")), 1);
}

#[test]
fn rules_that_have_ended_are_named_by_the_time() {
    let text =
        "[[rule]]\nname = \"r\"\nfrom = [\"a\"]\nto = [\"b\"]\nuntil = 2030-01-01T00:00:00Z\n";
    let loaded = parse(&sources(&[PEERS, text]), Options::default()).expect("no problems");
    assert_eq!(loaded.ended(1_893_455_999), []);
    insta::assert_snapshot!(Problems::new(loaded.ended(1_893_456_000)));
}

#[test]
fn there_is_a_most_of_rules() {
    let rule = |index: usize| {
        format!(
            "[[rule]]\nname = \"r{index}\"\nfrom = [\"a\"]\nto = [\"b\"]\nports = [\"tcp/{}\"]\n",
            index + 1
        )
    };
    let most: String = (0..crate::model::MAX_RULES).map(rule).collect();
    assert_eq!(warned(&[PEERS, &most]), "");
    let more = most + &rule(crate::model::MAX_RULES);
    insta::assert_snapshot!(problems(&[PEERS, &more]));
}
