//! Who may talk to whom: the formula and its compiled form, both pure.
//!
//! ```text
//! deliver(src, dst)  ⇔  owner(src)=A ∧ owner(dst)=B ∧ A≠B ∧ dst ∈ allowed(A) ∧ src ∈ allowed(B)
//! ```
//!
//! [`eval`] is the formula, by brute force. [`compile`] cuts the address space at every prefix
//! that occurs; what lies between the cuts are leaves, and leaves whose owners' lists are equal
//! and which are on equal lists share a class. Programs look up two leaves and one pair of classes.

mod class;
mod compiled;
mod displacement;
mod eval;
mod explain;
mod lists;
mod range;
mod space;

pub use compiled::{CompileError, Compiled, Counts, HostPorts, compile};
pub use eval::eval;
pub use explain::{Explanation, Party, Sender};
pub use lists::{Cover, Family, Lists};
pub use range::Range;

use std::net::IpAddr;

use crate::model::{Peer, Relay};

/// What a policy is made from: the relay and what its host says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The configured relay.
    pub relay: &'a Relay,
    /// Addresses of the host besides the relay's own, underlay ones too; they come before any
    /// peer's.
    pub host_addresses: &'a [IpAddr],
    /// Counter slot of each peer, in the order of `relay.peers`; never 0.
    pub slots: &'a [u32],
}

impl<'a> Sources<'a> {
    /// The addresses of the host that would be somebody else's if the host did not have them. Of all
    /// its addresses these alone, and the relay's, make another policy.
    pub fn contested(&self) -> Vec<IpAddr> {
        let without = Self { host_addresses: &[], ..*self };
        let addresses = self.host_addresses.iter().copied();
        addresses.filter(|&address| eval::is_claimed(&without, address)).collect()
    }

    fn peers(&self) -> impl Iterator<Item = (u32, &'a Peer)> {
        self.slots.iter().copied().zip(&self.relay.peers)
    }
}
