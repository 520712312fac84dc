//! What is shown of a running relay: a snapshot as text, JSON, tabs, metrics or a live table, and
//! the status compared with the configuration.

pub(crate) mod columns;
mod compat;
mod dropped;
mod dump;
mod ends;
mod exposition;
mod flows;
mod guard;
mod learning;
mod loans;
mod mesh;
mod names;
mod observation;
mod pairs;
mod prometheus;
mod quotas;
mod rules;
#[cfg(test)]
pub(crate) mod sample;
mod scrape;
mod series;
mod since;
mod snapshot;
mod status;
mod suggested;
mod text;
mod trial;
mod unused;
mod usage;
mod watch;
mod webhooks;

pub use dropped::Dropped;
pub use dump::render_dump_into;
pub use ends::{RuleEnd, RuleEnds};
pub use exposition::Exposition;
pub use flows::{Flow, FlowEnd, Flows, render_flow_rows_into, render_flows_into};
pub use guard::{Guard, Guarded, Unanswered};
pub use learning::{LearningReport, Share, render_learning_into};
pub use loans::{Loan, Loans, render_loans_into};
pub use mesh::{Ignored, MeshRelayStatus, MeshStatus, render_mesh_into};
pub use observation::{FenceDropped, Observation, PeerObservation, Policy};
pub use pairs::{Pairs, render_pairs_into};
pub use prometheus::{
    render_pairs_prometheus_into, render_prometheus_into, render_rules_prometheus_into,
};
pub use quotas::{QuotaTraffic, QuotaUse, Quotas, render_quotas_into};
pub use rules::{RuleTraffic, RuleUse, render_rules_into};
pub use scrape::{
    BusiestPairs, FlowTable, MOST_PAIRS, RateLimit, Scrape, ScrapeStyle, render_scrape_into,
};
pub use series::{CountSeries, History};
pub use since::{Since, SincePeer, render_since_into};
pub use snapshot::{Attendance, HIDDEN, Peer, Presence, Snapshot, Totals, Traffic};
pub use status::{Findings, Hooks, Status, render_status_into};
pub use suggested::{
    ClosedUse, LostAccess, Suggested, SuggestedGroup, SuggestedPair, SuggestedRule, SuggestedTest,
    render_suggested_into,
};
pub use text::{Style, render_text_into};
pub use trial::{TrialChange, TrialDifference, TrialPacket, TrialReport, render_trial_into};
pub use unused::{UnusedEntry, UnusedReport, UnusedRule, render_unused_into};
pub use usage::{
    Usage, UsageColumns, UsedPair, UsedPeer, UsedRule, render_usage_csv_into, render_usage_into,
};
pub use watch::{Column, Key, Watch};
pub use webhooks::WebhookUse;
