//! What a host can relay: which runs are made, what is calculated from what they take, and how that is
//! shown. `engine` makes the runs.

mod chart;
mod plan;
mod processors;
mod report;
mod round_trip;
mod text;

pub use chart::render_chart_into;
pub use plan::{Load, Run, Wanted, Way};
pub use processors::Processors;
pub use report::{Host, Measured, Report, Skipped, Taken};
pub use round_trip::RoundTrip;
pub use text::render_bench_into;
