//! Where the programs run: TCX links, pinned, or before kernel 6.6 filters of the clsact qdisc.

mod held;
mod hook;
mod switch;
mod trial;

pub use hook::{Hook, Mode, StaleProgram, Trial};

pub(super) use held::Counting;
pub(super) use hook::{HANDLE, PRIORITY, observe, place};
pub(super) use switch::{Seat, detach_stale, program, switch};
pub(super) use trial::{attach_trial, detach_trials};
