//! Who may talk to whom: the formula and its compiled form, both pure.
//!
//! ```text
//! deliver(src, dst)  ⇔  owner(src)=A ∧ owner(dst)=B ∧ A≠B ∧ dst ∈ allowed(A) ∧ src ∈ allowed(B)
//! ```
//!
//! [`eval`] is the formula by brute force. [`compile`] goes these steps, one file each:
//!
//! 1. `sources`: the relay, the host's addresses, and the slots of peers;
//! 2. `space`: cuts the address space into leaves at every prefix in use, each with its owner and the
//!    lists that contain it;
//! 3. `class`: leaves whose owners' lists are equal, and which are on the same lists, share a class;
//!    a matrix has a cell for each two classes of which one lists the other;
//! 4. `displacement`: the rows of that sparse matrix in one array;
//! 5. `range`: the addresses whose leaves are in an array instead of a trie;
//! 6. `compiled`: leaves and cells as the programs read them: two leaves and one cell a packet.
//!
//! `special` has the networks that nobody can own. `lists` and `explain` answer questions about the
//! same leaves and the same formula, `diff` about two policies; `effective` says what lists and rules
//! give a peer together.

mod class;
mod compile_error;
mod compiled;
mod diff;
mod displacement;
mod effective;
mod eval;
mod explain;
mod limits;
mod lists;
mod nearest;
mod opening;
mod range;
mod service_set;
mod services;
mod sets;
mod sides;
mod sources;
mod space;
mod special;

pub use compile_error::CompileError;
pub use compiled::{Compiled, Counts, HostPorts, compile, first_beyond};
pub use diff::{Area, Change, Concerned, Difference, End, Ground, Line, Name, Sign};
#[cfg(test)]
pub(crate) use effective::tests::any_relay;
pub use effective::{Effective, effective_list};
pub use eval::eval;
pub use explain::{Explanation, Party, Sender};
pub use limits::period_of;
pub use lists::{Cover, Family, Lists};
pub use nearest::{Miss, Nearest};
pub use opening::{Opening, Pass, eval_opening, is_ruled, may_begin};
pub use range::Range;
pub use service_set::ServiceSet;
pub use sources::Sources;
