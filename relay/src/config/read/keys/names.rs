use super::row::{Absent, Key, Kind, Table};

/// Names of peers.
pub(in crate::config::read) const NAMES: Table = Table {
    name: "names",
    header: "[names]",
    doc: "Names of peers, which `relay serve` answers by DNS on the relay's own addresses, to peers \
          that may begin something with the one who has the name. `host_access` has to let peers \
          reach `udp/53` and `tcp/53`. Without this table there are none. In the main file only.",
    keys: &[
        Key {
            name: "zone",
            kind: Kind::String("a domain name"),
            absent: Absent::Error,
            example: "\"relay.internal\"",
            doc: "The domain: the peer `node-b` is `node-b.relay.internal`, and the relay itself is \
                  `relay.internal`. A peer without `dns` gets the relay as its resolver, and this as \
                  the domain of short names.",
        },
        Key {
            name: "forward",
            kind: Kind::List("IP addresses"),
            absent: Absent::Nothing,
            example: "[\"192.0.2.53\"]",
            doc: "Resolvers that the relay asks for peers about every other name, in this order. \
                  Without any, such questions are refused.",
        },
    ],
};
