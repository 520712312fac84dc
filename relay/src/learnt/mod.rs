//! What was learnt of the traffic between peers, and what follows from it for the configuration;
//! pure:
//!
//! - `uses`: what was learnt;
//! - `suggest`: rules for what lists alone carry: `open` says what lists and rules let pass,
//!   `carried` sorts what was learnt by that, `cover` puts it into few blocks, `naming` writes their
//!   sides, `prove` tests;
//! - `unused`: entries of lists, and rules, that nobody used.

mod carried;
mod cover;
mod naming;
mod open;
mod prove;
mod suggest;
mod unused;
mod uses;

pub use carried::Wanted;
pub use suggest::{LearntRule, Suggestion};
pub use unused::{UnusedEntry, UnusedRule, unused_entries, unused_rules};
pub use uses::{Learnt, RuleUses, Use};

#[cfg(test)]
mod tests;
