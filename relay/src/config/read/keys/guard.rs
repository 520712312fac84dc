use super::row::{Absent, Key, Kind, Table};

/// One processor checks about this many handshake initiations a second, so a higher limit limits
/// nothing.
const INITIATIONS_MAX: u32 = 1_000_000;
/// With fewer, a handful of flooding sources would evict all others.
const SOURCES_MIN: u32 = 1024;
/// The guard's maps take about 200 MB with this many.
const SOURCES_MAX: u32 = 1 << 20;

/// The table of the guard.
pub(in crate::config::read) const GUARD: Table = Table {
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
