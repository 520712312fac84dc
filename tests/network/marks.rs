use relay::net::marks::{self, MarkWriter};

use crate::namespace::{Namespace, namespaces};

/// The bits that the test is about.
const BITS: u32 = 0x1000_1000;

#[test]
fn rules_that_write_the_bits_are_found_and_no_others() {
    let Some([host]) = namespaces("marks") else { return };
    assert_eq!(found(&host), [], "without any rules");
    // Rules of a chain `inet fw pre` with hook prerouting: the bits that they set and clear.
    for (rule, set, lost) in [
        ("meta mark set 7", 0, BITS),
        ("meta mark set 0x1000", 0x1000, 0x1000_0000),
        ("meta mark set 0x10001000", BITS, 0),
        ("meta mark set meta mark | 0x1", 0, 0),
        ("meta mark set meta mark | 0x1000", 0x1000, 0),
        ("meta mark set meta mark & 0xffffefff", 0, 0x1000),
        ("meta mark set meta mark ^ 0x1000", 0, 0x1000),
        ("meta mark set meta mark & 0x00ffffff | 0x40000", 0, 0x1000_0000),
        ("meta mark set ct mark", 0, BITS),
        ("meta mark set ct mark & 0xff", 0, BITS),
        ("ct mark set 0x10001000", 0, 0),
        ("ct mark set meta mark", 0, 0),
        ("meta mark 0x10001000 accept", 0, 0),
        ("udp dport { 53, 123 } counter meta mark set 7 accept", 0, BITS),
        // Packets of peers arrive on relay0.
        ("iifname eth0 meta mark set 7", 0, 0),
        ("iifname eth0 meta mark set 0x1000", 0x1000, 0),
        ("iifname relay0 meta mark set 7", 0, BITS),
        ("iifname \"relay*\" meta mark set 7", 0, BITS),
        ("iifname \"eth*\" meta mark set 7", 0, 0),
        ("iifname != relay0 meta mark set 7", 0, 0),
        ("iifname != eth0 meta mark set 7", 0, BITS),
        ("jump elsewhere", 0, 0),
    ] {
        rules(&host, "prerouting", rule);
        let expected: Vec<_> = writer("inet fw pre", set, lost).into_iter().collect();
        assert_eq!(found(&host), expected, "{rule}");
    }
    rules(&host, "forward", "oifname eth0 meta mark set 0x1000");
    assert_eq!(found(&host), [], "on its way to somebody else");
    for (hook, rule) in [("input", "meta mark set 7"), ("output", "goto marking")] {
        rules(&host, hook, rule);
        assert_eq!(found(&host), [], "packets of the host itself: {hook} {rule}");
    }
    for rule in ["jump marking", "goto marking", "iifname vmap { relay0 : jump marking }"] {
        rules(&host, "postrouting", rule);
        let expected: Vec<_> = writer("inet fw marking", 0x1000, 0).into_iter().collect();
        assert_eq!(found(&host), expected, "{rule}");
    }
}

fn rules(host: &Namespace, hook: &str, rule: &str) {
    host.nft("flush ruleset");
    host.nft(
        "add table inet fw; add chain inet fw marking; add rule inet fw marking meta mark set meta \
         mark | 0x1000; add chain inet fw elsewhere",
    );
    host.nft(&format!("add chain inet fw pre {{ type filter hook {hook} priority 0; }}"));
    host.nft(&format!("add rule inet fw pre {rule}"));
}

fn writer(chain: &str, set: u32, lost: u32) -> Option<MarkWriter> {
    (set | lost != 0).then(|| MarkWriter { chain: chain.to_owned(), set, lost })
}

fn found(host: &Namespace) -> Vec<MarkWriter> {
    let interface = "relay0".parse().expect("a name");
    host.run(move || marks::writers(&interface, BITS)).expect("a ruleset")
}
