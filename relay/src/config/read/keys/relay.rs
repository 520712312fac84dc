use super::row::{Absent, Key, Kind, MTU, Table};

/// The relay itself.
pub(in crate::config::read) const RELAY: Table = Table {
    name: "relay",
    header: "[relay]",
    doc: "The relay itself. Required, in the main file only.",
    keys: &[
        Key {
            name: "address",
            kind: Kind::List("addresses, each with the prefix length of its network"),
            absent: Absent::Error,
            example: "[\"10.3.2.1/24\", \"fd00::3:2:1/120\"]",
            doc: "The relay's own addresses. Their networks are the overlay, in which every peer \
                  has its addresses. The networks must not overlap.",
        },
        Key {
            name: "interface",
            kind: Kind::String("an interface name"),
            absent: Absent::Value("\"relay0\""),
            example: "\"relay0\"",
            doc: "The WireGuard interface, created by `relay up`. 1 to 15 of `A-Z a-z 0-9 _ -`, a \
                  letter first.",
        },
        Key {
            name: "listen_port",
            kind: Kind::Integer(1, u16::MAX as u32),
            absent: Absent::Value("51820"),
            example: "51820",
            doc: "UDP port on which WireGuard listens.",
        },
        Key {
            name: "endpoint",
            kind: Kind::String("host:port"),
            absent: Absent::Nothing,
            example: "\"vpn.example.org:51820\"",
            doc: "The address that peers dial: a DNS name, an IPv4 address, or an IPv6 address in \
                  brackets. Written into client configurations.",
        },
        Key {
            name: "private_key_file",
            kind: Kind::String("a path"),
            absent: Absent::Value("\"/etc/relay/private.key\""),
            example: "\"/etc/relay/private.key\"",
            doc: "File with the relay's private key in base64. `relay up` creates it with mode \
                  0600 if it does not exist. A relative path starts at the main file's directory.",
        },
        Key {
            name: "mtu",
            kind: MTU,
            absent: Absent::Value("1420"),
            example: "1420",
            doc: "MTU of the WireGuard interface, bytes. At least 1280 if the relay has an IPv6 \
                  address.",
        },
        Key {
            name: "fast_path",
            kind: Kind::Boolean,
            absent: Absent::Value("true"),
            example: "true",
            doc: "`true` redirects packets between peers in eBPF. `false` lets the host's IP \
                  stack, with its netfilter rules, forward what the policy allows.",
        },
        Key {
            name: "host_access",
            kind: Kind::ChoiceOrList(&["none", "ping", "all"], "ports"),
            absent: Absent::Value("\"ping\""),
            example: "[\"tcp/22\", \"udp/53\"]",
            doc: "What peers may reach on the relay itself. A list of ports includes ping.",
        },
        Key {
            name: "egress",
            kind: Kind::Choice(&["deny", "stack"]),
            absent: Absent::Value("\"deny\""),
            example: "\"deny\"",
            doc: "Packets to addresses outside the overlay that no peer owns: `\"deny\"` drops \
                  them, `\"stack\"` hands them to the host's routing if the sender's `allowed_ips` \
                  hold the destination.",
        },
        Key {
            name: "fence",
            kind: Kind::Boolean,
            absent: Absent::Value("true"),
            example: "true",
            doc: "A netfilter table of the relay's own that drops all overlay traffic while the \
                  eBPF programs are not attached.",
        },
        Key {
            name: "pair_stats",
            kind: Kind::Boolean,
            absent: Absent::Value("false"),
            example: "true",
            doc: "Count traffic for each pair of peers, for `relay stats --pairs`. Costs time on \
                  every packet.",
        },
    ],
};
