//! Changes of configuration files:
//!
//! - `draft`: the files, and what may be asked of them; `change`: what changes in them, `lines`: how
//!   that is shown;
//! - `entry`: one peer in a file's text; `mention`: where groups, rules and tests name one;
//!   `new_peer`: the text of one that comes; `new_rules`: that of rules, groups and tests; `loan`: that
//!   of what is lent;
//! - `free`: addresses that nobody has;
//! - `staged`: files that appear whole or not at all; `key_file`: those that hold a key.

mod change;
mod draft;
mod entry;
mod free;
mod key_file;
mod lines;
mod loan;
mod mention;
mod new_peer;
mod new_rules;
mod staged;
#[cfg(test)]
mod tests;

pub use change::{Edit, StagedEdit};
pub use draft::{Draft, EditError};
pub use free::{NoFreeAddress, free_addresses};
pub use key_file::create_private_key;
pub use loan::NewLoan;
pub use new_peer::NewPeer;
pub use new_rules::NewRules;
pub use staged::{Staged, WriteError};

pub(super) use free::Free;
pub(super) use key_file::stage_key;
pub(super) use new_peer::{assignments, list};
