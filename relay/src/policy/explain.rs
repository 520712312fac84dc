//! Why a packet passes or does not: the formula, with what it rests on.

use std::net::IpAddr;

use ipnet::IpNet;
use relay_common::{Reason, verdict::Verdict};

use super::{Sources, eval};
use crate::model::{Peer, Relay};

/// One direction between two addresses, as the configuration has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The sender.
    pub source: Party<'a>,
    /// The receiver.
    pub destination: Party<'a>,
    /// What becomes of the packet.
    pub verdict: Result<Verdict, Reason>,
}

/// One end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Who owns it, and the place of that peer in the configuration.
    pub peer: Option<(usize, &'a Peer)>,
    /// The longest entry of its owner's list that holds the other end.
    pub entry: Option<IpNet>,
}

impl<'a> Explanation<'a> {
    /// Explains a packet from one address to another, sent by a peer.
    pub fn of(sources: &Sources<'a>, source: IpAddr, destination: IpAddr) -> Self {
        Self {
            source: Party::of(sources.relay, source, destination),
            destination: Party::of(sources.relay, destination, source),
            verdict: eval(sources, source, destination),
        }
    }

    /// The ends whose owners' lists lack the other end.
    pub fn short_lists(&self) -> impl Iterator<Item = (Party<'a>, IpAddr)> {
        [(self.source, self.destination.address), (self.destination, self.source.address)]
            .into_iter()
            .filter(|(party, _)| party.peer.is_some() && party.entry.is_none())
    }
}

impl<'a> Party<'a> {
    fn of(relay: &'a Relay, address: IpAddr, other: IpAddr) -> Self {
        let peer = relay.owner(address);
        let entries = peer.into_iter().flat_map(|(_, peer)| peer.may_reach()).copied();
        let entry = entries.filter(|net| net.contains(&other)).max_by_key(IpNet::prefix_len);
        Self { address, peer, entry }
    }
}
