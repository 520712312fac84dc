use std::net::IpAddr;

use super::Service;

/// A `[[test]]`: what the policy must allow and must drop between two ends. `check` and `up` fail if
/// it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Who begins.
    pub from: End,
    /// With whom.
    pub to: End,
    /// Services that must be allowed, between all addresses of one family.
    pub allow: Vec<Service>,
    /// Services that must be dropped, between all addresses of one family.
    pub deny: Vec<Service>,
}

/// One end of an [`Expectation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A peer's own addresses, by its place in [`super::Relay::peers`].
    Peer(usize),
    /// An address.
    Address(IpAddr),
}
