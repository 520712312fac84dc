use super::row::{Absent, Key, Kind, Table};

/// One webhook.
pub(in crate::config::read) const WEBHOOK: Table = Table {
    name: "webhook",
    header: "[[webhook]]",
    doc: "A server that `relay serve` tells what happens, by signed requests \
          (docs/guides/webhooks.md). Packets and the policy do not depend on it. Repeat the table \
          for each, in the main file only.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::String("a webhook name"),
            absent: Absent::Error,
            example: "\"ops\"",
            doc: "Unique name, shown in messages and metrics: 1 to 63 of `a-z 0-9 _ . -`, a letter \
                  or digit first.",
        },
        Key {
            name: "url",
            kind: Kind::String("an https URL"),
            absent: Absent::Error,
            example: "\"https://hooks.example.org/relay\"",
            doc: "Where requests go. http is possible to a loopback address or `localhost` only. \
                  Redirects are not followed.",
        },
        Key {
            name: "secret_file",
            kind: Kind::String("a file name"),
            absent: Absent::Error,
            example: "\"/etc/relay/ops.secret\"",
            doc: "File of mode 0600 with the secret that requests are signed with: 24 to 64 bytes \
                  in base64, with or without `whsec_` before it. A relative name starts at the main \
                  file's directory. It is read for each request, so that a new secret needs no \
                  restart.",
        },
        Key {
            name: "events",
            kind: Kind::List("event types"),
            absent: Absent::Value(
                "[\"relay_up\", \"relay_down\", \"policy_changed\", \"peer_new\", \"peer_gone\", \
                 \"peer_online\", \"peer_offline\", \"peer_roamed\", \"guard_alarm\"]",
            ),
            example: "[\"peer_offline\", \"guard_alarm\"]",
            doc: "What the server is told: the types of `relay events`. The default is all but \
                  `packet_dropped`. `lost` is told without being listed.",
        },
    ],
};
