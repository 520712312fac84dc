use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::open::Share;
use crate::{
    model::{End, Expectation, Relay, Service, Services, Transport},
    policy::{Opening, Sources, eval_opening},
};

/// What a test denies: the first that nobody used and the policy drops.
const DENIED: [Service; 6] = [
    Service::Port(Transport::Tcp, 22),
    Service::Port(Transport::Tcp, 23),
    Service::Port(Transport::Tcp, 445),
    Service::Port(Transport::Tcp, 3389),
    Service::Port(Transport::Udp, 161),
    Service::Port(Transport::Tcp, 1),
];

/// Before and after the ends of all rules, so that a test holds at any time.
const EARLY: u64 = 0;
const LATE: u64 = u64::MAX;

/// Writes tests that a policy passes.
pub(super) struct Prover<'r> {
    relay: &'r Relay,
    used: &'r BTreeSet<Service>,
    slots: Vec<u32>,
}

impl<'r> Prover<'r> {
    /// Of a policy, and what somebody used.
    pub(super) fn of(relay: &'r Relay, used: &'r BTreeSet<Service>) -> Self {
        Self { relay, used, slots: (1..).take(relay.peers.len()).collect() }
    }

    /// A test that two peers may begin this, and not something else; `None` if there is none because a
    /// peer is disabled or an address is not only its own.
    pub(super) fn test(&self, pair: [&Share; 2], services: &[Services]) -> Option<Expectation> {
        if pair.iter().any(|share| !self.relay.peers[share.peer].enabled) {
            return None;
        }
        let [from, to] = self.ends(pair)?;
        let openings = self.openings([from, to]);
        let passes = |service| openings.iter().all(|ends| self.passes(*ends, service, LATE));
        let is_dropped = |service| !openings.iter().any(|ends| self.passes(*ends, service, EARLY));
        let allow: Vec<Service> = services.iter().map(|services| first(*services)).collect();
        if openings.is_empty() || !allow.iter().all(|service| passes(*service)) {
            return None;
        }
        let unused = DENIED.into_iter().filter(|service| !self.used.contains(service));
        let deny = unused.into_iter().find(|service| is_dropped(*service)).into_iter().collect();
        Some(Expectation { from, to, allow, deny })
    }

    /// The peers, or an address of each in its part, of one family.
    fn ends(&self, pair: [&Share; 2]) -> Option<[End; 2]> {
        let nets = pair.iter().find_map(|share| share.part.as_ref()?.first());
        let is_v4 = nets.is_some_and(|net| net.addr().is_ipv4());
        let end = |share: &Share| {
            let Some(part) = &share.part else { return Some(End::Peer(share.peer)) };
            let is_in = |address: &IpAddr| {
                address.is_ipv4() == is_v4 && part.iter().any(|net| net.contains(address))
            };
            let own = self.relay.peers[share.peer].addresses.iter().copied().find(is_in);
            let first = || part.iter().map(IpNet::addr).find(is_in);
            Some(End::Address(own.or_else(first)?))
        };
        Some([end(pair[0])?, end(pair[1])?])
    }

    fn passes(&self, [source, destination]: [IpAddr; 2], service: Service, now: u64) -> bool {
        let sources = Sources { relay: self.relay, host_addresses: &[], slots: &self.slots };
        eval_opening(&sources, &Opening { source, destination, service }, now).is_ok()
    }

    fn openings(&self, ends: [End; 2]) -> Vec<[IpAddr; 2]> {
        let [from, to] = ends.map(|end| match end {
            End::Peer(peer) => self.relay.peers[peer].addresses.clone(),
            End::Address(address) => vec![address],
        });
        let pairs = from.iter().flat_map(|one| to.iter().map(move |other| [*one, *other]));
        pairs.filter(|[one, other]| one.is_ipv4() == other.is_ipv4()).collect()
    }
}

const fn first(services: Services) -> Service {
    match services {
        Services::Ports { transport, first: 0, .. } => Service::Port(transport, 1),
        Services::Ports { transport, first, .. } => Service::Port(transport, first),
        Services::Echo => Service::Echo,
        Services::Icmp => Service::Icmp,
        Services::Protocol(number) => Service::Protocol(number),
    }
}
