//! What relay does: reads the kernel and the configuration, plans, applies, explains. It knows
//! nothing of arguments, printing or HTTP; `cli` calls it.

mod apply;
mod changes;
mod claim;
mod compile;
mod context;
mod desired;
mod diff;
mod down;
mod dropped;
mod error;
mod expectations;
mod explain;
mod facts;
mod flows;
mod follow;
mod guard;
mod host;
mod in_force;
mod instant;
mod learning;
mod limit_changes;
mod loan;
mod lock;
mod near;
mod observe;
mod pair;
mod peers;
mod plan;
mod quotas;
mod record;
mod saved;
mod site;
mod stats;
mod status;
mod step;
mod subject;
mod suggest;
mod trace;
mod trial;
mod unused;
mod up;
mod wg_quick;

pub use changes::Changes;
pub use compile::compile;
pub use context::{Context, block_on};
pub use diff::{Comparison, Diffed};
pub use down::{Down, Scope};
pub use dropped::{Dropped, DroppedReader, Filter, by_rule};
pub use error::{Classified, Error, ErrorContext, Kind, Result, chain};
pub use expectations::judge;
pub use explain::{Direction, Ends, Explained, explain, explain_config};
pub use facts::observe as facts;
pub use flows::{FlowFilter, flows};
pub use follow::Follower;
pub use host::{HostError, require_capabilities, require_kernel};
pub use instant::{now, rfc3339};
pub use learning::{learning, start_learning, stop_learning};
pub use limit_changes::LimitChange;
pub use loan::{
    Ended, Term, clock_doubt, has_ended_loans, is_up, lent_as, loans, remove_ended, require_gain,
    without_route,
};
pub use lock::Lock;
pub use peers::{PeerList, StaleClients, groups};
pub use quotas::{quotas, reset_quotas, save_quotas};
pub use site::{Notice, Site};
pub use stats::{pairs, rules, snapshot, traffic};
pub use status::status;
pub use subject::Subject;
pub use suggest::suggest;
pub use trace::{Log, Tracing};
pub use trial::{start_trial, stop_trial, trial_report};
pub use unused::unused;
pub use up::{Shortfall, Up, UpOptions};
pub use wg_quick::warning as wg_quick_warning;
