use super::row::{Absent, Key, Kind, Table};

/// The relays of a site.
pub(in crate::config::read) const MESH: Table = Table {
    name: "mesh",
    header: "[mesh]",
    doc: "The relays of a site, which are one to their peers (docs/guides/mesh.md). The files are \
          equal on all of them. Without this table there is one. In the main file only.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::String("a relay name"),
            absent: Absent::Nothing,
            example: "\"fra1\"",
            doc: "Which of the relays this is. Without it, the one whose `public_key` belongs to the \
                  key in `private_key_file`.",
        },
        Key {
            name: "port",
            kind: Kind::Integer(1, u16::MAX as u32),
            absent: Absent::Value("51830"),
            example: "51830",
            doc: "First UDP port of the transit tunnels. Each takes one: a relay listens on this port \
                  for the first relay of the list, on the next for the second, and so on.",
        },
        Key {
            name: "private_key_file",
            kind: Kind::String("a path"),
            absent: Absent::Value("\"/etc/relay/mesh.key\""),
            example: "\"/etc/relay/mesh.key\"",
            doc: "File of mode 0600 with this relay's private key of the transit tunnels in base64, \
                  which no other relay has: `relay genkey` makes one. A relative path starts at the \
                  main file's directory.",
        },
        Key {
            name: "relay",
            kind: Kind::Tables("[[mesh.relay]]"),
            absent: Absent::Error,
            example: "[{ name = \"fra1\", public_key = \"1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=\", \
                      host = \"192.0.2.11\" }]",
            doc: "The relays, this one among them, in the same order everywhere: a new one comes last.",
        },
    ],
};

/// One relay of a site.
pub(in crate::config::read) const MESH_RELAY: Table = Table {
    name: "mesh.relay",
    header: "[[mesh.relay]]",
    doc: "One relay of the site. Repeat the table for each.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::String("a relay name"),
            absent: Absent::Error,
            example: "\"fra1\"",
            doc: "Unique name: 1 to 13 of `a-z 0-9 -`, a letter or digit first. The tunnel to it is \
                  the interface `<interface>-<name>`, of at most 15 characters.",
        },
        Key {
            name: "public_key",
            kind: Kind::String("a public key"),
            absent: Absent::Error,
            example: "\"1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=\"",
            doc: "Its public key in the transit tunnels, in base64: `relay genkey --public < mesh.key`.",
        },
        Key {
            name: "host",
            kind: Kind::String("an IP address or a DNS name"),
            absent: Absent::Error,
            example: "\"192.0.2.11\"",
            doc: "Its own address on the underlay, not one that moves between the relays.",
        },
    ],
};
