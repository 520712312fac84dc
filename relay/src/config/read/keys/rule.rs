use super::row::{ANY, Absent, Key, Kind, Table};

/// The groups.
pub(in crate::config::read) const GROUPS: Table = Table {
    name: "groups",
    header: "[groups]",
    doc: "Named sets of peers, for rules, in the main file or in fragments; each group once. A peer \
          can also name its groups itself (`groups`).",
    keys: &[Key {
        name: ANY,
        kind: Kind::List("peer names, and groups as \"group:NAME\""),
        absent: Absent::Nothing,
        example: "[\"ann\", \"bob\", \"group:interns\"]",
        doc: "The members of one group. The key is its name: 1 to 63 of `a-z 0-9 _ . -`, a letter or \
              digit first. A plain name is always a peer, so that a new peer never changes what a \
              group means.",
    }],
};

/// One rule.
pub(in crate::config::read) const RULE: Table = Table {
    name: "rule",
    header: "[[rule]]",
    doc: "Who may begin what with whom, beside what lists allow: a pair whose lists hold each other \
          is open for everything, and needs no rule. Rules only add; there is no order, and no rule \
          takes anything away. Answers pass. Repeat the table for each, in the main file or in \
          fragments; 16383 at most. All together they have at most 65535 rule sets, 65535 classes of \
          ports, and 4194304 grants, one for each set and class (docs/guides/rules.md).",
    keys: &[
        Key {
            name: "name",
            kind: Kind::String("a rule name"),
            absent: Absent::Error,
            example: "\"admins-ssh\"",
            doc: "Unique name, shown wherever the rule decides: 1 to 32 of `a-z 0-9 _ . -`, a letter \
                  or digit first.",
        },
        Key {
            name: "description",
            kind: Kind::String("one line, 200 characters at most"),
            absent: Absent::Nothing,
            example: "\"until the release\"",
            doc: "Free text. `relay lend --reason` writes it, and `relay lend --list` shows it.",
        },
        Key {
            name: "from",
            kind: SIDE,
            absent: Absent::Error,
            example: "[\"group:admins\"]",
            doc: "Who may begin. A prefix stands for what peers own of it, `\"any\"` for all that \
                  peers own.",
        },
        Key {
            name: "to",
            kind: SIDE,
            absent: Absent::Error,
            example: "[\"group:servers\"]",
            doc: "With whom. As `from`.",
        },
        Key {
            name: "except",
            kind: SIDE,
            absent: Absent::Nothing,
            example: "[\"db\"]",
            doc: "Taken out of both sides. As `from`.",
        },
        Key {
            name: "ports",
            kind: Kind::List("services"),
            absent: Absent::Nothing,
            example: "[\"tcp/22\", \"tcp/8000-8100\", \"udp/53\", \"icmp/echo\", \"sctp\"]",
            doc: "What may be begun; without this key, everything. `tcp` and `udp` with a port, a \
                  range, or alone for all ports; `icmp/echo` is ping and `icmp` every message, of \
                  ICMP and ICMPv6; other protocols by name (`ipip`, `ipv6`, `gre`, `esp`, `ah`, \
                  `ospf`, `vrrp`, `sctp`) or number (`proto/132`).",
        },
        Key {
            name: "both_ways",
            kind: Kind::Boolean,
            absent: Absent::Value("false"),
            example: "true",
            doc: "Whether either side may begin.",
        },
        Key {
            name: "until",
            kind: Kind::Time,
            absent: Absent::Nothing,
            example: "2030-12-31T18:00:00Z",
            doc: "When the rule ends by itself, and its flows with it.",
        },
    ],
};

/// One test.
pub(in crate::config::read) const TEST: Table = Table {
    name: "test",
    header: "[[test]]",
    doc: "What the policy must allow and must drop between two peers. `relay check`, `up` and `reload` \
          fail if it does not. Needs `allow` or `deny`. Left out while one of the two is disabled. \
          Repeat the table for each, in the main file or in fragments.",
    keys: &[
        Key {
            name: "from",
            kind: END,
            absent: Absent::Error,
            example: "\"ann\"",
            doc: "Who begins. A peer stands for each of its own addresses; for a network behind it, \
                  write an address.",
        },
        Key {
            name: "to",
            kind: END,
            absent: Absent::Error,
            example: "\"web-1\"",
            doc: "With whom. As `from`.",
        },
        Key {
            name: "allow",
            kind: Kind::List("services"),
            absent: Absent::Nothing,
            example: "[\"tcp/22\"]",
            doc: "What must be allowed, in each address family that both sides have. As `ports` of a \
                  rule, one port at a time.",
        },
        Key {
            name: "deny",
            kind: Kind::List("services"),
            absent: Absent::Nothing,
            example: "[\"tcp/23\"]",
            doc: "What must be dropped.",
        },
    ],
};

const SIDE: Kind =
    Kind::List("peer names, groups as \"group:NAME\", networks or addresses, or \"any\"");
const END: Kind = Kind::String("a peer name or an address");
