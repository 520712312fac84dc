//! Why a packet passes or is dropped: the formula, with its inputs.

use std::net::IpAddr;

use ipnet::IpNet;
use relay_common::{Reason, verdict::Verdict};

use super::{
    eval::{Is, whose},
    nearest::Nearest,
    opening::{Opening, Pass, eval_opening},
    service_set::ServiceSet,
    sources::Sources,
};
use crate::model::{Egress, HostAccess, Peer, Relay, Service, host_prefix};

/// What becomes of the first packet of a flow between two addresses, by the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Where the packet comes from.
    pub sender: Sender,
    /// The sender.
    pub source: Party<'a>,
    /// The receiver.
    pub destination: Party<'a>,
    /// What the packet asks for.
    pub service: Service,
    /// The verdict.
    pub verdict: Result<Verdict, Reason>,
    /// The rule that decides, or the nearest one; none if lists decide.
    pub rule: Option<Nearest>,
}

/// Where a packet comes from, by its source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// From a peer: `relay_ingress` decides.
    Peer,
    /// From the relay itself: always passes to a peer.
    Host,
    /// From outside the overlay: the host would forward it to a peer.
    Outside,
}

/// One end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its owner, and the place of that peer in the configuration. Addresses of the host and special
    /// ones have no owner, even inside a network that a peer owns.
    pub peer: Option<(usize, &'a Peer)>,
    /// Whether it is an address of the host, the relay's own included.
    pub is_host: bool,
    /// The longest entry of its owner's list that contains the other end.
    pub entry: Option<IpNet>,
}

impl<'a> Explanation<'a> {
    /// Explains an opening, at a time in seconds since 1970-01-01T00:00:00Z. `None` if neither end is a
    /// peer's, because the relay does not decide on that.
    pub fn of(sources: &Sources<'a>, opening: &Opening, now: u64) -> Option<Self> {
        let Opening { source, destination, service } = *opening;
        let from = Party::of(sources, source, destination);
        let to = Party::of(sources, destination, source);
        if from.peer.is_none() && to.peer.is_none() {
            return None;
        }
        let sender = match whose(sources, source) {
            Is::Owned(_) => Sender::Peer,
            is if is.is_host() => Sender::Host,
            Is::Nobody => Sender::Outside,
            // Dropped wherever it comes from.
            Is::Special(_) => Sender::Peer,
        };
        let passed = eval_opening(sources, opening, now);
        let opens_to_host = ServiceSet::of_host(&sources.relay.host_access).contains(service);
        let verdict = match sender {
            Sender::Host | Sender::Outside if to.is_off() => Err(Reason::Disabled),
            Sender::Host => Ok(Verdict::Relay),
            Sender::Outside => forwarded_in(sources.relay, &to),
            Sender::Peer => match passed {
                Ok(Pass::Lists(Verdict::ToHost)) if !opens_to_host => Err(Reason::HostAccess),
                Ok(Pass::Lists(verdict)) => Ok(verdict),
                Ok(Pass::Rule(_)) => Ok(Verdict::Relay),
                Err(reason) => Err(reason),
            },
        };
        let is_by_lists = matches!(passed, Ok(Pass::Lists(_)));
        let rule = match sender {
            Sender::Peer if !is_by_lists => Nearest::of(sources, opening, now),
            Sender::Peer | Sender::Host | Sender::Outside => None,
        };
        Some(Self { sender, source: from, destination: to, service, verdict, rule })
    }

    /// Whether both ends are peers.
    pub const fn is_between_peers(&self) -> bool {
        self.source.peer.is_some() && self.destination.peer.is_some()
    }

    /// The ends whose owners do not list the other end.
    pub fn short_lists(&self) -> impl Iterator<Item = (Party<'a>, IpAddr)> {
        [(self.source, self.destination.address), (self.destination, self.source.address)]
            .into_iter()
            .filter(|(party, _)| party.peer.is_some() && party.entry.is_none())
    }

    /// Remarks on what the verdict leaves open.
    pub fn notes(&self, relay: &Relay) -> Vec<String> {
        let mut notes = Vec::new();
        let is_ping = self.service == Service::Echo;
        if is_ping && self.sender == Sender::Peer && matches!(self.verdict, Ok(Verdict::ToHost)) {
            notes.extend(beside_ping(&relay.host_access));
        }
        if self.verdict == Err(Reason::HostAccess) {
            notes.push("answers to packets from the relay pass".to_owned());
        }
        if self.sender == Sender::Outside {
            let said = match (relay.egress, self.destination.entry.is_some(), relay.fence) {
                (Egress::Deny, _, _) | (Egress::Stack, false, _) => None,
                (Egress::Stack, true, true) => Some(
                    "answers to connections that the peer opened pass (egress is \"stack\"); the fence \
                     drops everything else",
                ),
                (Egress::Stack, true, false) => {
                    Some("the host's routing and netfilter also decide (egress is \"stack\")")
                }
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
                    "{name}'s client exchanges nothing with {other}, which its AllowedIPs lack; add \
                     \"{entry}\" to allowed_ips of {name} and give its client the new file"
                ))
            }));
        }
        notes
    }
}

/// The verdict on a packet that the host would forward to a peer: the fence only passes answers, so
/// an echo request passes only without it.
fn forwarded_in(relay: &Relay, to: &Party<'_>) -> Result<Verdict, Reason> {
    let is_listed = relay.egress == Egress::Stack && to.entry.is_some();
    if is_listed && !relay.fence { Ok(Verdict::Relay) } else { Err(Reason::ForwardedIn) }
}

/// What `host_access` means for packets other than echo requests.
fn beside_ping(access: &HostAccess) -> Option<String> {
    match access {
        HostAccess::None | HostAccess::All => None,
        HostAccess::Ping => Some(
            "this holds for ping; TCP and UDP to the relay are dropped (host_access is \"ping\")"
                .to_owned(),
        ),
        HostAccess::Ports(ports) => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            Some(format!(
                "this holds for ping and {}; other TCP and UDP to the relay are dropped (host_access)",
                ports.join(", ")
            ))
        }
    }
}

impl Party<'_> {
    /// Whether it is a disabled peer.
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
