use std::net::IpAddr;

use super::special::specials;
use crate::model::{Owners, Peer, Relay};

/// The inputs of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The configured relay.
    pub relay: &'a Relay,
    /// Addresses of the host besides the relay's, underlay ones included. They win over addresses of
    /// peers.
    pub host_addresses: &'a [IpAddr],
    /// Counter slot of each peer, in the order of `relay.peers`; never 0.
    pub slots: &'a [u32],
}

impl<'a> Sources<'a> {
    /// The host's addresses that would otherwise be a peer's, vacant, or special. Only these, of all
    /// its addresses, change the policy.
    pub fn contested(&self) -> Vec<IpAddr> {
        let owners = Owners::of(self.relay);
        let specials = specials(self.relay);
        let is_contested = |address: &IpAddr| {
            owners.owner(*address).is_some()
                || specials.iter().any(|(network, _)| network.contains(address))
                || self.relay.addresses.iter().any(|overlay| overlay.contains(address))
        };
        self.host_addresses.iter().copied().filter(is_contested).collect()
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = (u32, &'a Peer)> {
        self.slots.iter().copied().zip(&self.relay.peers)
    }
}
