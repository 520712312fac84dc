use super::row::{Absent, Key, Kind, MTU, Table};

/// What a peer inherits.
pub(in crate::config::read) const DEFAULTS: Table = Table {
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
            name: "client_allowed_ips",
            kind: Kind::Choice(&["exact", "overlay"]),
            absent: Absent::Value("\"exact\""),
            example: "\"overlay\"",
            doc: "AllowedIPs in client configurations: `\"exact\"` is `allowed_ips` and what rules \
                  give, so that a change of the rules needs new files. `\"overlay\"` has the \
                  networks of the overlay instead of single peers, so that only networks behind \
                  peers need them.",
        },
        Key {
            name: "rate_from",
            kind: RATE,
            absent: Absent::Value("\"unlimited\""),
            example: "\"10 Mbit/s\"",
            doc: "How fast what comes from each peer may be, in bits a second of IP packets inside \
                  the tunnel. More is dropped as `rate`; `\"unlimited\"` is no limit.",
        },
        Key {
            name: "rate_to",
            kind: RATE,
            absent: Absent::Value("\"unlimited\""),
            example: "\"10 Mbit/s\"",
            doc: "The same for what goes to it.",
        },
        Key {
            name: "quota",
            kind: QUOTA,
            absent: Absent::Value("\"unlimited\""),
            example: "\"500 GB/month\"",
            doc: "How much may come from each peer and go to it, both together, in each day, week \
                  or month of UTC. More is dropped as `quota`. `\"unlimited\"` is no quota.",
        },
        Key {
            name: "quota_from",
            kind: QUOTA,
            absent: Absent::Value("\"unlimited\""),
            example: "\"20 GB/week\"",
            doc: "How much may come from it. Not beside `quota`.",
        },
        Key {
            name: "quota_to",
            kind: QUOTA,
            absent: Absent::Value("\"unlimited\""),
            example: "\"20 GB/week\"",
            doc: "How much may go to it. Not beside `quota`.",
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
            doc: "Resolvers of the client, and domains in which it looks up short names. With \
                  `[names]`, the relay and its zone by default.",
        },
    ],
};

/// One peer.
pub(in crate::config::read) const PEER: Table = Table {
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
                  passes only if each side lists the other, or if a `[[rule]]` allows it.",
        },
        Key {
            name: "rate_from",
            kind: RATE,
            absent: Absent::Inherits("defaults"),
            example: "\"10 Mbit/s\"",
            doc: "How fast what comes from the peer may be, in bits a second of IP packets inside \
                  the tunnel. More is dropped as `rate`; `\"unlimited\"` is no limit.",
        },
        Key {
            name: "rate_to",
            kind: RATE,
            absent: Absent::Inherits("defaults"),
            example: "\"10 Mbit/s\"",
            doc: "The same for what goes to it.",
        },
        Key {
            name: "quota",
            kind: QUOTA,
            absent: Absent::Inherits("defaults"),
            example: "\"500 GB/month\"",
            doc: "How much may come from the peer and go to it, both together, in each day, week \
                  or month of UTC. More is dropped as `quota`. Replaces each quota of \
                  `[defaults]`; `\"unlimited\"` takes them back.",
        },
        Key {
            name: "quota_from",
            kind: QUOTA,
            absent: Absent::Inherits("defaults"),
            example: "\"20 GB/week\"",
            doc: "How much may come from it. Not beside `quota`, that of `[defaults]` excepted, \
                  which it replaces.",
        },
        Key {
            name: "quota_to",
            kind: QUOTA,
            absent: Absent::Inherits("defaults"),
            example: "\"20 GB/week\"",
            doc: "How much may go to it. Not beside `quota`, that of `[defaults]` excepted, which \
                  it replaces.",
        },
        Key {
            name: "groups",
            kind: Kind::List("group names"),
            absent: Absent::Nothing,
            example: "[\"servers\"]",
            doc: "Groups that the peer is in, beside those of `[groups]` that list it. A group that \
                  `[groups]` does not have exists by this.",
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
            doc: "Resolvers of the client, and domains in which it looks up short names. With \
                  `[names]`, the relay and its zone by default.",
        },
        Key {
            name: "endpoint",
            kind: Kind::String("host:port"),
            absent: Absent::Inherits("relay"),
            example: "\"vpn.example.org:51820\"",
            doc: "The address that this peer dials.",
        },
        Key {
            name: "own_endpoint",
            kind: Kind::String("host:port"),
            absent: Absent::Nothing,
            example: "\"node-b.example.org:51820\"",
            doc: "The peer's own address on the underlay, as `Endpoint` in a file of wg-quick: for \
                  one that does not dial the relay. `relay up` sets it where WireGuard knows none; \
                  `relay follow` looks its name up again when the latest handshake is older than \
                  135 seconds.",
        },
    ],
};

const KEEPALIVE: Kind = Kind::Integer(0, u16::MAX as u32);
const RATE: Kind = Kind::String("a rate, or `unlimited`");
const QUOTA: Kind = Kind::String("a quota, or `unlimited`");
const DNS: Kind = Kind::List("IP addresses or search domains");
