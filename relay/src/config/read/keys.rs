//! Every table and key of the configuration file, one row a key.
//!
//! The reader takes names, ranges and examples from these rows, and the reference page of the
//! configuration is generated from them: walk [`TABLES`], and print each [`Key`]. A new key is a
//! row here and a field in `tables.rs`.

use std::fmt;

/// Upper bound of every MTU, bytes: a jumbo frame.
pub(in crate::config) const MTU_MAX: u16 = 9000;
/// Lower bound of every MTU, bytes: what each IPv4 host accepts (RFC 791, section 3.1).
pub(in crate::config) const MTU_MIN: u16 = 576;
/// Lower bound of the MTU of an interface with IPv6, bytes (RFC 8200, section 5). Linux removes IPv6
/// from an interface below it.
pub(in crate::config) const MTU_MIN_V6: u16 = 1280;

/// One processor checks about this many handshake initiations a second, so a higher limit limits
/// nothing.
const INITIATIONS_MAX: u32 = 1_000_000;
/// With fewer, a handful of flooding sources would evict all others.
const SOURCES_MIN: u32 = 1024;
/// The guard's maps take about 200 MB with this many.
const SOURCES_MAX: u32 = 1 << 20;

/// One table of the configuration file.
#[derive(Debug)]
pub struct Table {
    /// Its name, without brackets.
    pub name: &'static str,
    /// As it stands in the file: `[relay]`, or `[[peer]]` for one that repeats.
    pub header: &'static str,
    /// Operator documentation, in Markdown.
    pub doc: &'static str,
    /// In the order of the documentation.
    pub keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes. Displays as the type column of the documentation.
    pub kind: Kind,
    /// What holds when it is left out.
    pub absent: Absent,
    /// A value in TOML.
    pub example: &'static str,
    /// Operator documentation, in Markdown.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Debug)]
pub enum Kind {
    /// A string, and what it holds.
    String(&'static str),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// An integer within these bounds.
    Integer(u32, u32),
    /// `true` or `false`.
    Boolean,
    /// A list of strings, and what each holds. None may repeat.
    List(&'static str),
    /// One of these strings, or a list.
    ChoiceOrList(&'static [&'static str], &'static str),
}

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// An error.
    Error,
    /// Nothing, or an empty list.
    Nothing,
    /// This value in TOML.
    Value(&'static str),
    /// The value of the key of this name in another table.
    Inherits(&'static str),
}

/// All tables, in the order of the documentation.
pub const TABLES: [&Table; 4] = [&RELAY, &GUARD, &DEFAULTS, &PEER];

/// The relay itself.
pub(super) const RELAY: Table = Table {
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

/// The table of the guard.
pub(super) const GUARD: Table = Table {
    name: "guard",
    header: "[guard]",
    doc: "An XDP program on the underlay that drops forged WireGuard messages before the kernel \
          spends time on them. Without this table there is no guard. In the main file only.",
    keys: &[
        Key {
            name: "enabled",
            kind: Kind::Boolean,
            absent: Absent::Value("true"),
            example: "true",
            doc: "`false` takes the guard off and keeps its settings in the file.",
        },
        Key {
            name: "interfaces",
            kind: Kind::ChoiceOrList(&["auto"], "interface names"),
            absent: Absent::Value("\"auto\""),
            example: "[\"eth0\"]",
            doc: "Interfaces on which peers' UDP packets arrive. `\"auto\"` takes those that a \
                  default route leaves by.",
        },
        Key {
            name: "mode",
            kind: Kind::Choice(&["auto", "driver", "generic"]),
            absent: Absent::Value("\"auto\""),
            example: "\"auto\"",
            doc: "XDP mode. `\"auto\"` takes the driver where it supports XDP, and generic XDP \
                  elsewhere.",
        },
        Key {
            name: "initiations_per_second",
            kind: Kind::Integer(1, INITIATIONS_MAX),
            absent: Absent::Value("50"),
            example: "50",
            doc: "Handshake initiations a second that one source (an IPv4 address, an IPv6 /64) \
                  may send. With 50, 1,000 peers behind one address are connected again about 20 \
                  seconds after an outage.",
        },
        Key {
            name: "burst",
            kind: Kind::Integer(1, INITIATIONS_MAX),
            absent: Absent::Value("200"),
            example: "200",
            doc: "Handshake initiations that one source may send at once.",
        },
        Key {
            name: "sources",
            kind: Kind::Integer(SOURCES_MIN, SOURCES_MAX),
            absent: Absent::Value("65536"),
            example: "65536",
            doc: "Sources tracked at a time. A new one evicts the one that was silent longest.",
        },
    ],
};

/// What a peer inherits.
pub(super) const DEFAULTS: Table = Table {
    name: "defaults",
    header: "[defaults]",
    doc: "Values for every peer that does not set its own. In the main file only.",
    keys: &[
        Key {
            name: "allowed_ips",
            kind: Kind::List("networks or addresses"),
            absent: Absent::Nothing,
            example: "[\"10.3.2.2/32\"]",
            doc: "Whom a peer may talk to. A peer's own list replaces this one.",
        },
        Key {
            name: "persistent_keepalive",
            kind: KEEPALIVE,
            absent: Absent::Value("25"),
            example: "25",
            doc: "Seconds between a client's keepalives; 0 turns them off.",
        },
        Key {
            name: "mtu",
            kind: MTU,
            absent: Absent::Value("1280"),
            example: "1280",
            doc: "MTU of the client's interface, bytes. At least 1280 for a peer with an IPv6 \
                  address.",
        },
        Key {
            name: "dns",
            kind: DNS,
            absent: Absent::Nothing,
            example: "[\"10.3.2.1\", \"corp.example.org\"]",
            doc: "Resolvers of the client, and domains in which it looks up short names.",
        },
    ],
};

/// One peer.
pub(super) const PEER: Table = Table {
    name: "peer",
    header: "[[peer]]",
    doc: "One peer. Repeat the table for each, in the main file or in fragments.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::String("a peer name"),
            absent: Absent::Error,
            example: "\"node-b\"",
            doc: "Unique name: 1 to 63 of `a-z 0-9 _ . -`, a letter or digit first, and not an IP \
                  address.",
        },
        Key {
            name: "description",
            kind: Kind::String("one line, 200 characters at most"),
            absent: Absent::Nothing,
            example: "\"in the cellar\"",
            doc: "Free text, shown beside the name.",
        },
        Key {
            name: "enabled",
            kind: Kind::Boolean,
            absent: Absent::Value("true"),
            example: "false",
            doc: "`false` cuts the peer off and keeps its addresses reserved for it.",
        },
        Key {
            name: "public_key",
            kind: Kind::String("a key in base64"),
            absent: Absent::Error,
            example: "\"...\"",
            doc: "The peer's WireGuard public key, as `wg pubkey` prints it. Unique.",
        },
        Key {
            name: "preshared_key_file",
            kind: Kind::String("a path"),
            absent: Absent::Nothing,
            example: "\"/etc/relay/psk/node-b\"",
            doc: "File with a preshared key (`wg genpsk`), mode 0600. A relative path starts at \
                  the main file's directory.",
        },
        Key {
            name: "address",
            kind: Kind::List("addresses"),
            absent: Absent::Error,
            example: "[\"10.3.2.3\"]",
            doc: "Addresses that the peer owns in the overlay.",
        },
        Key {
            name: "routes",
            kind: Kind::List("networks or addresses"),
            absent: Absent::Nothing,
            example: "[\"192.168.40.0/24\"]",
            doc: "Networks behind the peer.",
        },
        Key {
            name: "allowed_ips",
            kind: Kind::List("networks or addresses"),
            absent: Absent::Inherits("defaults"),
            example: "[\"10.3.2.2/32\"]",
            doc: "Whom the peer may talk to; also AllowedIPs in its client configuration. A packet \
                  passes only if each side lists the other.",
        },
        Key {
            name: "persistent_keepalive",
            kind: KEEPALIVE,
            absent: Absent::Inherits("defaults"),
            example: "25",
            doc: "Seconds between the client's keepalives; 0 turns them off.",
        },
        Key {
            name: "mtu",
            kind: MTU,
            absent: Absent::Inherits("defaults"),
            example: "1280",
            doc: "MTU of the client's interface, bytes. At least 1280 if the peer has an IPv6 \
                  address.",
        },
        Key {
            name: "dns",
            kind: DNS,
            absent: Absent::Inherits("defaults"),
            example: "[\"10.3.2.1\", \"corp.example.org\"]",
            doc: "Resolvers of the client, and domains in which it looks up short names.",
        },
        Key {
            name: "endpoint",
            kind: Kind::String("host:port"),
            absent: Absent::Inherits("relay"),
            example: "\"vpn.example.org:51820\"",
            doc: "The address that this peer dials.",
        },
    ],
};

const MTU: Kind = Kind::Integer(MTU_MIN as u32, MTU_MAX as u32);
const KEEPALIVE: Kind = Kind::Integer(0, u16::MAX as u32);
const DNS: Kind = Kind::List("IP addresses or search domains");

impl Table {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |words: &[&str]| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::String(what) => write!(f, "string: {what}"),
            Self::Choice(words) => write!(f, "one of {}", quoted(words)),
            Self::Integer(low, high) => write!(f, "integer, {low} to {high}"),
            Self::Boolean => f.write_str("boolean"),
            Self::List(what) => write!(f, "list of {what}"),
            Self::ChoiceOrList(words, what) => write!(f, "{}, or a list of {what}", quoted(words)),
        }
    }
}
