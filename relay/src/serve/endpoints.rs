//! The paths of the API: what answers them, and how they are described.

use axum::{
    Router,
    routing::{MethodRouter, get},
};
use relay_common::Reason;
use serde_json::{Value, json};

use super::{
    Served,
    api::{self, LAST, LAST_MAX},
    events, live,
};

/// A path below /api/v1 and what it answers.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    route: fn() -> MethodRouter<Served>,
    pub(super) summary: &'static str,
    pub(super) answer: Answer,
    pub(super) query: &'static [Parameter],
}

/// A parameter of the query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) about: &'static str,
    pub(super) schema: fn() -> Value,
}

pub(super) enum Answer {
    /// An object of this schema.
    One(&'static str),
    /// An array of them.
    Many(&'static str),
    /// Server-sent events.
    Events,
}

pub(super) const ENDPOINTS: [Endpoint; 13] = [
    Endpoint {
        path: "/status",
        route: || get(api::status),
        summary: "Compare the relay with its configuration.",
        answer: Answer::One("Status"),
        query: &[],
    },
    Endpoint {
        path: "/stats",
        route: || get(api::stats),
        summary: "Traffic, handshakes and dropped packets of each peer.",
        answer: Answer::One("Stats"),
        query: &[],
    },
    Endpoint {
        path: "/pairs",
        route: || get(api::pairs),
        summary: "Traffic of each pair of peers, with `pair_stats = true`.",
        answer: Answer::One("Pairs"),
        query: &[],
    },
    Endpoint {
        path: "/rules",
        route: || get(api::rules),
        summary: "What each rule has let through.",
        answer: Answer::One("Rules"),
        query: &[],
    },
    Endpoint {
        path: "/flows",
        route: || get(api::flows),
        summary: "Live flows between peers with rules.",
        answer: Answer::One("Flows"),
        query: &[
            text("peer", false, "Only flows of this peer or address, whichever side it is."),
            text("rule", false, "Only flows that this rule allowed."),
            text("service", false, "Only flows that asked for this, as in a rule's ports."),
        ],
    },
    Endpoint {
        path: "/quotas",
        route: || get(api::quotas),
        summary: "What peers have used of their quotas.",
        answer: Answer::One("Quotas"),
        query: &[text("peer", false, "Only those of this peer.")],
    },
    Endpoint {
        path: "/diff",
        route: || get(api::diff),
        summary: "What the configuration on disk changes of what is in force.",
        answer: Answer::One("Diff"),
        query: &[],
    },
    Endpoint {
        path: "/explain",
        route: || get(api::explain),
        summary: "Whether one end can reach another, and which lines to change if not.",
        answer: Answer::One("Explained"),
        query: &[
            text("from", true, "One end: a peer's name or an IP address."),
            text("to", true, "The other end."),
            text("service", false, "What `from` would begin with `to`, such as tcp/22."),
        ],
    },
    Endpoint {
        path: "/graph",
        route: || get(api::graph),
        summary: "Who may talk to whom.",
        answer: Answer::One("Graph"),
        query: &[],
    },
    Endpoint {
        path: "/dropped",
        route: || get(api::dropped),
        summary: "The last dropped packets, oldest first.",
        answer: Answer::Many("Dropped"),
        query: &[
            Parameter {
                name: "last",
                required: false,
                about: "How many at most.",
                schema: || json!({ "type": "integer", "minimum": 0, "maximum": LAST_MAX, "default": LAST }),
            },
            text("from", false, "Only packets from this peer or address."),
            text("to", false, "Only packets to this peer or address."),
            Parameter {
                name: "reason",
                required: false,
                about: "Only packets dropped for this reason.",
                schema: || {
                    let labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
                    json!({ "type": "string", "enum": labels })
                },
            },
        ],
    },
    Endpoint {
        path: "/history",
        route: || get(api::history),
        summary: "Counts step by step, of the relay, a peer, a pair or a rule.",
        answer: Answer::One("History"),
        query: &[
            text("since", true, "How far back, such as 1h, 24h, 7d or 365d."),
            text("peer", false, "Name of a peer."),
            text("from", false, "Name of the first peer of a pair; needs `to`."),
            text("to", false, "Name of the second peer of a pair."),
            text("rule", false, "Name of a rule."),
        ],
    },
    Endpoint {
        path: "/live",
        route: || get(live::live),
        summary: "What changes of the peers, each second: an event `stats` has the object of \
                  /stats with `time` (Unix time, ms) and `complete`; unless that is true, `peers` \
                  has only those that changed. An event `gone` has `error` while the relay cannot \
                  be read.",
        answer: Answer::Events,
        query: &[],
    },
    Endpoint {
        path: "/events",
        route: || get(events::events),
        summary: "What happens from now on: server-sent events, named by their type, whose data is \
                  an Event; lines of JSON with `Accept: application/x-ndjson`.",
        answer: Answer::Events,
        query: &[],
    },
];

const fn text(name: &'static str, required: bool, about: &'static str) -> Parameter {
    Parameter { name, required, about, schema: || json!({ "type": "string", "minLength": 1 }) }
}

/// Routes of all of them.
pub(super) fn routes() -> Router<Served> {
    ENDPOINTS
        .iter()
        .fold(Router::new(), |routes, endpoint| routes.route(endpoint.path, (endpoint.route)()))
}
