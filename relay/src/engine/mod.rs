//! What relay does: reads the kernel and the configuration, plans, applies, explains. It knows
//! nothing of arguments, printing or HTTP; `cli` calls it.

mod apply;
mod changes;
mod claim;
mod context;
mod desired;
mod down;
mod dropped;
mod error;
mod expectations;
mod explain;
mod facts;
mod follow;
mod guard;
mod host;
mod lock;
mod observe;
mod peers;
mod plan;
mod site;
mod stats;
mod status;
mod step;
mod subject;
mod trace;
mod up;
mod wg_quick;

pub use changes::Changes;
pub use context::{Context, block_on};
pub use down::{Down, Scope};
pub use dropped::{Dropped, DroppedReader, Filter};
pub use error::{Classified, Error, ErrorContext, Kind, Result, chain};
pub use expectations::judge;
pub use explain::{Direction, Ends, Explained, explain, explain_config};
pub use facts::observe as facts;
pub use follow::Follower;
pub use host::{HostError, require_capabilities, require_kernel};
pub use lock::Lock;
pub use peers::{PeerList, StaleClients, groups};
pub use site::{Notice, Site};
pub use stats::{pairs, snapshot, traffic};
pub use status::status;
pub use subject::Subject;
pub use trace::{Log, Tracing};
pub use up::{Shortfall, Up, UpOptions};
pub use wg_quick::warning as wg_quick_warning;
