use relay::net::inbound::{self, Inbound};

use crate::namespace::{Namespace, namespaces};

const PORT: u16 = 51820;

#[test]
fn a_chain_that_drops_the_port_is_named_and_no_rule_that_may_let_it_in_is_overlooked() {
    let Some([host]) = namespaces("inbound") else { return };
    assert_eq!(found(&host), Inbound::default(), "without any rules");
    // Rules of a chain `inet filter input` with policy drop, and whether they block the port.
    for (rules, bars) in [
        ("", true),
        ("udp dport 51820 accept", false),
        ("udp dport 51821 accept", true),
        ("tcp dport 51820 accept", true),
        // nft reads both ports at once.
        ("udp sport 67 udp dport 68 accept", true),
        ("udp sport 67 udp dport 51820 accept", false),
        ("udp dport { 53, 51820 } accept", false),
        ("udp dport { 53, 123 } accept", true),
        ("udp dport { 53, 50000-52000 } accept", false),
        ("udp dport { 53, 50000-51000, 51821-52000 } accept", true),
        ("udp dport 51000-52000 accept", false),
        ("udp dport != 53 accept", false),
        ("udp dport != 51820 accept", true),
        ("udp dport @ports accept", false),
        ("meta l4proto { tcp, udp } th dport 51820 accept", false),
        ("meta l4proto { icmp, tcp } accept", true),
        ("meta l4proto udp accept", false),
        ("ct state established,related accept", true),
        ("ct state { established, related } accept", true),
        ("ct state vmap { established : accept, related : accept, invalid : drop }", true),
        ("ct state vmap { established : accept, new : accept }", false),
        ("ct state new udp dport 51820 accept", false),
        ("ct state established,related accept; ct status dnat accept; iifname lo accept", true),
        ("iif lo accept", true),
        ("iif != lo accept", false),
        ("iifname vmap { lo : accept }", true),
        ("iifname vmap { lo : accept, eth0 : jump world }", false),
        ("iifname eth0 jump world", false),
        ("jump world", false),
        ("jump elsewhere", true),
        ("goto elsewhere", true),
        ("udp dport vmap { 51820 : accept, 53 : drop }", false),
        ("udp dport vmap { 51820 : drop, 53 : accept }", true),
        ("ip saddr 192.0.2.0/24 accept", false),
        ("ip saddr 192.0.2.0/24 udp dport 53 accept", true),
        ("ip saddr . udp dport { 192.0.2.1 . 51820 } accept", false),
        ("meta mark 7 accept", false),
        ("limit rate 10/second accept", false),
        ("fib daddr type local accept", false),
        ("udp dport 51820 counter log prefix \"x\" accept", false),
        ("udp dport 51820 drop; udp dport 51820 accept", true),
        ("udp dport 51820 reject", true),
        ("udp dport { 51820 } return; accept", true),
        ("accept", false),
    ] {
        chain(&host, "drop", rules);
        let expected = bars.then_some("inet filter input");
        assert_eq!(found(&host).v4.as_deref(), expected, "{rules}");
    }
    for (rules, bars) in [
        ("", false),
        ("drop", true),
        ("udp dport 51820 drop", true),
        ("ip saddr 192.0.2.0/24 drop", false),
        ("udp dport 51820 accept; drop", false),
        ("udp dport 51820 return; drop", false),
        ("iifname lo accept; ct state established accept; reject", true),
        ("ip saddr 192.0.2.1 return; drop", false),
    ] {
        chain(&host, "accept", rules);
        assert_eq!(found(&host).v4.is_some(), bars, "{rules}");
    }
}

#[test]
fn each_version_of_ip_is_judged_by_the_chains_that_see_it() {
    let Some([host]) = namespaces("inbound_versions") else { return };
    host.nft(
        "add table ip filter; add chain ip filter INPUT { type filter hook input priority 0; policy \
         drop; }; add rule ip filter INPUT ip protocol tcp accept; add table ip other; add chain ip \
         other INPUT { type filter hook input priority 1; policy accept; }",
    );
    let inbound = found(&host);
    assert_eq!((inbound.v4.as_deref(), inbound.v6), (Some("ip filter INPUT"), None));
    // Another chain may drop what one chain accepts; chains of other hooks do not matter.
    host.nft(
        "flush ruleset; add table inet f; add chain inet f one { type filter hook input priority 0; \
         }; add rule inet f one udp dport 51820 accept; add chain inet f two { type filter hook \
         input priority 5; policy drop; }; add rule inet f two meta nfproto ipv6 accept; add chain \
         inet f through { type filter hook forward priority 0; policy drop; }",
    );
    let inbound = found(&host);
    assert_eq!((inbound.v4.as_deref(), inbound.v6), (Some("inet f two"), None));
}

fn chain(host: &Namespace, policy: &str, rules: &str) {
    host.nft("flush ruleset");
    host.nft(
        "add table inet filter; add set inet filter ports { type inet_service; elements = { 51820 } }; \
         add chain inet filter elsewhere; add rule inet filter elsewhere udp dport 53 accept; add \
         chain inet filter world; add rule inet filter world udp dport 51820 accept",
    );
    host.nft(&format!(
        "add chain inet filter input {{ type filter hook input priority 0; policy {policy}; }}"
    ));
    for rule in rules.split("; ").filter(|rule| !rule.is_empty()) {
        host.nft(&format!("add rule inet filter input {rule}"));
    }
}

fn found(host: &Namespace) -> Inbound {
    host.run(|| inbound::read(PORT)).expect("a ruleset")
}
