//! Why a packet passes or does not: the formula, with what it rests on.

use std::net::IpAddr;

use ipnet::IpNet;
use relay_common::{Reason, verdict::Verdict};

use super::{
    Sources, eval,
    eval::{Is, whose},
};
use crate::model::{Egress, HostAccess, Peer, Relay, host_prefix};

/// One direction between two addresses, as the configuration has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Where the packet comes from.
    pub sender: Sender,
    /// The sender.
    pub source: Party<'a>,
    /// The receiver.
    pub destination: Party<'a>,
    /// What becomes of an echo request.
    pub verdict: Result<Verdict, Reason>,
}

/// Where a packet comes from, by its source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// From a peer: the program on the way in decides.
    Peer,
    /// From the relay itself: nothing to a peer is refused.
    Host,
    /// From beyond the overlay: the host would have to forward it to a peer.
    Outside,
}

/// One end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Who owns it, and the place of that peer in the configuration. An address of the host or of
    /// nobody has none, whatever network around it a peer owns.
    pub peer: Option<(usize, &'a Peer)>,
    /// Whether it is an address of the host, the relay's own included.
    pub is_host: bool,
    /// The longest entry of its owner's list that holds the other end.
    pub entry: Option<IpNet>,
}

impl<'a> Explanation<'a> {
    /// Explains an echo request from one address to another. `None` where no peer is at either
    /// end: the relay has no say in that.
    pub fn of(sources: &Sources<'a>, source: IpAddr, destination: IpAddr) -> Option<Self> {
        let from = Party::of(sources, source, destination);
        let to = Party::of(sources, destination, source);
        if from.peer.is_none() && to.peer.is_none() {
            return None;
        }
        let sender = match whose(sources, source) {
            Is::Owned(_) => Sender::Peer,
            is if is.is_host() => Sender::Host,
            Is::Nobody => Sender::Outside,
            // Refused wherever it comes from.
            Is::Special(_) => Sender::Peer,
        };
        let verdict = match sender {
            Sender::Host if to.is_off() => Err(Reason::DestinationUnknown),
            Sender::Host => Ok(Verdict::Relay),
            Sender::Outside => forwarded_in(sources.relay, &to),
            Sender::Peer => match eval(sources, source, destination) {
                // WireGuard does not know its key.
                Ok(_) if from.is_off() => Err(Reason::SourceUnknown),
                Ok(Verdict::ToHost) if sources.relay.host_access == HostAccess::None => {
                    Err(Reason::HostAccess)
                }
                verdict => verdict,
            },
        };
        Some(Self { sender, source: from, destination: to, verdict })
    }

    /// Whether a peer is at both ends.
    pub const fn is_between_peers(&self) -> bool {
        self.source.peer.is_some() && self.destination.peer.is_some()
    }

    /// The ends whose owners' lists lack the other end.
    pub fn short_lists(&self) -> impl Iterator<Item = (Party<'a>, IpAddr)> {
        [(self.source, self.destination.address), (self.destination, self.source.address)]
            .into_iter()
            .filter(|(party, _)| party.peer.is_some() && party.entry.is_none())
    }

    /// What the verdict on an echo request does not say.
    pub fn notes(&self, relay: &Relay) -> Vec<String> {
        let mut notes = Vec::new();
        if self.sender == Sender::Peer && matches!(self.verdict, Ok(Verdict::ToHost)) {
            notes.extend(beside_ping(&relay.host_access));
        }
        if self.verdict == Err(Reason::HostAccess) {
            notes.push("answers to what the relay asks it pass all the same".to_owned());
        }
        if self.sender == Sender::Outside {
            let said = match (relay.egress, self.destination.entry.is_some(), relay.fence) {
                (Egress::Deny, _, _) | (Egress::Stack, false, _) => None,
                (Egress::Stack, true, true) => Some(
                    "answers to what the peer has begun pass (egress is \"stack\"); the fence lets \
                     nothing else in",
                ),
                (Egress::Stack, true, false) => Some(
                    "the host's routing and netfilter decide about it too (egress is \"stack\")",
                ),
            };
            notes.extend(said.map(str::to_owned));
        }
        let with_host = matches!(self.verdict, Ok(Verdict::ToHost))
            || (self.sender == Sender::Host && self.verdict.is_ok());
        if with_host {
            notes.extend(self.short_lists().filter_map(|(party, other)| {
                let (_, Peer { name, .. }) = party.peer?;
                let entry = host_prefix(other);
                Some(format!(
                    "{name}'s own client sends nothing to {other} and drops what comes from it: its \
                     AllowedIPs lack it; add \"{entry}\" to allowed_ips of {name} and give it its new \
                     file"
                ))
            }));
        }
        notes
    }
}

/// What becomes of what the host would forward to a peer: the fence lets answers in alone, so an
/// echo request only passes without it.
fn forwarded_in(relay: &Relay, to: &Party<'_>) -> Result<Verdict, Reason> {
    let is_listed = relay.egress == Egress::Stack && to.entry.is_some();
    if is_listed && !relay.fence { Ok(Verdict::Relay) } else { Err(Reason::ForwardedIn) }
}

/// What `host_access` says of other packets than echo requests.
fn beside_ping(access: &HostAccess) -> Option<String> {
    match access {
        HostAccess::None | HostAccess::All => None,
        HostAccess::Ping => Some(
            "this is true of ping; TCP and UDP to the relay are dropped (host_access is \"ping\" in \
             the configuration)"
                .to_owned(),
        ),
        HostAccess::Ports(ports) => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            Some(format!(
                "this is true of ping and of {}; other TCP and UDP to the relay is dropped \
                 (host_access in the configuration)",
                ports.join(", ")
            ))
        }
    }
}

impl Party<'_> {
    /// Whether it is a peer that is switched off.
    pub fn is_off(&self) -> bool {
        self.peer.is_some_and(|(_, peer)| !peer.enabled)
    }
}

impl<'a> Party<'a> {
    fn of(sources: &Sources<'a>, address: IpAddr, other: IpAddr) -> Self {
        let is = whose(sources, address);
        let (is_owned, is_host) = (matches!(is, Is::Owned(_)), is.is_host());
        let peer = sources.relay.owner(address).filter(|_| is_owned);
        let entries = peer.into_iter().flat_map(|(_, peer)| peer.may_reach()).copied();
        let entry = entries.filter(|net| net.contains(&other)).max_by_key(IpNet::prefix_len);
        Self { address, peer, is_host, entry }
    }
}
