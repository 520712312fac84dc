use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    cover::{Block, Relation},
    open::{Between, Open, Share},
    uses::{Learnt, Use},
};
use crate::model::Service;

/// Which uses count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those with at least so many packets.
    pub min_packets: u64,
    /// Those since then, seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
}

/// What was learnt, by what lets it pass.
pub(super) struct Carried {
    /// What lists let pass; needed is what no rule lets pass. In numbers: ends are places in
    /// `shares`, services places in `services`.
    pub relation: Relation,
    /// The use behind each element of the relation that has one.
    uses: HashMap<[usize; 3], Use>,
    shares: Vec<Share>,
    services: Vec<Service>,
    pub unknown: Vec<[usize; 2]>,
    pub closed: Vec<Use>,
    pub left_out: usize,
}

impl Wanted {
    const fn has(self, one: &Use) -> bool {
        one.packets >= self.min_packets && one.last >= self.since
    }
}

impl Carried {
    pub(super) fn of(open: &Open<'_>, learnt: &Learnt, wanted: Wanted) -> Self {
        let (counted, others): (Vec<&Use>, Vec<&Use>) =
            learnt.uses.iter().partition(|one| wanted.has(one));
        let mut between: HashMap<[usize; 2], Option<Between>> = HashMap::new();
        for one in &counted {
            let pair = [one.from, one.to];
            between.entry(pair).or_insert_with(|| open.by_lists(one.from, one.to));
        }
        let mut unknown = BTreeSet::new();
        let mut closed = Vec::new();
        let mut listed: Vec<(&Between, Service, &Use, bool)> = Vec::new();
        for one in counted {
            let pair = [one.from, one.to];
            let by_lists = between[&pair].as_ref();
            let service = one.service.filter(|service| is_nameable(*service));
            let is_ruled = open.by_rule(pair, by_lists, service);
            match (by_lists, service) {
                (Some(by_lists), Some(service)) => {
                    listed.push((by_lists, service, one, !is_ruled));
                    // `icmp` in `ports` is an echo request, too.
                    if service == Service::Icmp {
                        listed.push((by_lists, Service::Echo, one, false));
                    }
                }
                (Some(_), None) if !is_ruled => {
                    unknown.insert(pair);
                }
                (None, _) if !is_ruled => closed.push(*one),
                (Some(_) | None, _) => {}
            }
        }
        let shares = listed.iter().flat_map(|one| one.0.shares.iter().cloned());
        let shares: BTreeSet<Share> = shares.collect();
        let shares: BTreeMap<Share, usize> = shares.into_iter().zip(0..).collect();
        let services: BTreeSet<Service> = listed.iter().map(|one| one.1).collect();
        let services: BTreeMap<Service, usize> = services.into_iter().zip(0..).collect();
        let mut relation = Relation::new(shares.keys().map(|share| share.peer).collect());
        let mut uses = HashMap::new();
        for (by_lists, service, one, is_needed) in listed {
            let [from, to] = [0, 1].map(|end: usize| shares[&by_lists.shares[end]]);
            let number = services[&service];
            relation.add(from, to, number, is_needed);
            if one.service == Some(service) {
                uses.insert([from, to, number], *one);
            }
        }
        Self {
            relation,
            uses,
            shares: shares.into_keys().collect(),
            services: services.into_keys().collect(),
            unknown: unknown.into_iter().collect(),
            closed,
            left_out: others.len(),
        }
    }

    pub(super) fn shares<'s>(
        &'s self,
        ends: &'s BTreeSet<usize>,
    ) -> impl Iterator<Item = &'s Share> + Clone {
        ends.iter().map(|&end| &self.shares[end])
    }

    pub(super) fn services(&self, block: &Block) -> Vec<Service> {
        block.services.iter().map(|&service| self.services[service]).collect()
    }

    /// Pairs of different peers of a block.
    pub(super) fn pairs<'s>(&'s self, block: &'s Block) -> impl Iterator<Item = [&'s Share; 2]> {
        let from = self.shares(&block.from);
        from.flat_map(|from| self.shares(&block.to).map(move |to| [from, to]))
            .filter(|[from, to]| from.peer != to.peer)
    }

    /// What is behind a block.
    pub(super) fn uses<'s>(&'s self, block: &'s Block) -> impl Iterator<Item = &'s Use> {
        let pairs = block.from.iter().flat_map(|&from| block.to.iter().map(move |&to| (from, to)));
        pairs.flat_map(move |(from, to)| {
            let services = block.services.iter();
            services.filter_map(move |&service| self.uses.get(&[from, to, service]))
        })
    }
}

/// Whether `ports` of a rule can have it: not port 0, and no protocol that is another service or an
/// extension header of IPv6.
const fn is_nameable(service: Service) -> bool {
    !matches!(service, Service::Port(_, 0) | Service::Protocol(0 | 1 | 6 | 17 | 43 | 44 | 58 | 60))
}
