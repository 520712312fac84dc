//! Rules in the shape in which firewalld writes them.

use relay::net::inbound::{self, Inbound};

use crate::namespace::{Namespace, namespaces};

const PORT: u16 = 51820;

/// What firewalld's nftables backend makes of a zone, with `ALLOW` for its ports.
const FIREWALLD: &str = "table inet zones {
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname lo accept
        ct state invalid drop
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES {
        iifname eth0 goto filter_IN_public
        goto filter_IN_public
    }
    chain filter_IN_public {
        jump filter_IN_public_pre
        jump filter_IN_public_log
        jump filter_IN_public_deny
        jump filter_IN_public_allow
        jump filter_IN_public_post
        meta l4proto { icmp, ipv6-icmp } accept
        reject with icmpx admin-prohibited
    }
    chain filter_IN_public_pre { }
    chain filter_IN_public_log { }
    chain filter_IN_public_deny { }
    chain filter_IN_public_allow {
        tcp dport 22 accept
        ip6 daddr fe80::/64 udp dport 546 accept
        ALLOW
    }
    chain filter_IN_public_post { }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        reject with icmpx admin-prohibited
    }
}
";

#[test]
fn firewalld_bars_the_port_until_the_zone_allows_it() {
    let Some([host]) = namespaces("firewalld") else { return };
    // Whether it bars the port over IPv4, and over IPv6.
    for (rule, v4, v6) in [
        ("", true, true),
        ("udp dport 51821 accept", true, true),
        ("udp dport 51820 accept", false, false),
        ("udp dport 51000-52000 accept", false, false),
        ("ip saddr 192.0.2.0/24 udp dport 51820 accept", false, true),
        ("ip6 saddr fd00::/8 udp dport 51820 accept", true, false),
        ("ip saddr 192.0.2.0/24 udp dport 53 accept", true, true),
    ] {
        host.nft("flush ruleset");
        host.nft(&FIREWALLD.replace("ALLOW", rule));
        let named = |bars: bool| bars.then(|| "inet zones filter_INPUT".to_owned());
        assert_eq!(found(&host), Inbound { v4: named(v4), v6: named(v6) }, "{rule}");
    }
}

fn found(host: &Namespace) -> Inbound {
    host.run(|| inbound::read(PORT)).expect("a ruleset")
}
