use std::collections::BTreeSet;

use super::{
    carried::{Carried, Wanted},
    cover::Block,
    naming::{Naming, rule_names},
    open::Open,
    prove::Prover,
    uses::{Learnt, Use},
};
use crate::model::{Expectation, Group, Relay, Rule, Service, Services};

/// Rules for what lists alone carry of what was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// New groups. [`crate::model::Selector::Group`] counts them behind those of the relay.
    pub groups: Vec<Group>,
    /// The rules: what lists let pass and was used, and nothing else between peers.
    pub rules: Vec<LearntRule>,
    /// What passes and what does not, once no list opens anything between peers.
    pub tests: Vec<Expectation>,
    /// Pairs that used services which the rules do not have, because they are not known one by one.
    pub unknown: Vec<[usize; 2]>,
    /// Uses that neither lists nor rules let pass now.
    pub closed: Vec<Use>,
    /// How many uses do not count.
    pub left_out: usize,
    /// The relay with groups and rules, and without what lists open between peers.
    pub relay: Relay,
}

/// A rule, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearntRule {
    /// The rule.
    pub rule: Rule,
    /// Packets of its uses, both directions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the latest one came, seconds since 1970-01-01T00:00:00Z.
    pub last: u64,
}

impl Suggestion {
    /// Of what was learnt under a configuration. What its rules without an end let pass needs no
    /// other rule.
    pub fn of(relay: &Relay, learnt: &Learnt, wanted: Wanted) -> Self {
        let open = Open::of(relay);
        let carried = Carried::of(&open, learnt, wanted);
        let mut naming = Naming::of(relay);
        let blocks = paired(carried.relation.blocks());
        let rules = blocks.iter().zip(rule_names(relay)).map(|((block, both_ways), name)| {
            let mut side = |ends: &BTreeSet<usize>| naming.side(carried.shares(ends));
            let rule = Rule {
                from: side(&block.from),
                to: side(&block.to),
                services: joined(&carried.services(block)),
                both_ways: both_ways.is_some(),
                ..Rule::new(name)
            };
            let back = both_ways.iter().flat_map(|back| carried.uses(back));
            LearntRule::of(rule, carried.uses(block).chain(back))
        });
        let rules: Vec<LearntRule> = rules.collect();
        let groups = naming.groups();
        let mut after = open.emptied();
        after.groups.extend(groups.iter().cloned());
        after.rules.extend(rules.iter().map(|one| one.rule.clone()));
        let used: BTreeSet<Service> = learnt.uses.iter().filter_map(|one| one.service).collect();
        let prover = Prover::of(&after, &used);
        let tests =
            blocks.iter().zip(&rules).filter_map(|((block, _), LearntRule { rule, .. })| {
                carried.pairs(block).find_map(|pair| prover.test(pair, &rule.services))
            });
        let tests = tests.collect();
        let Carried { unknown, closed, left_out, .. } = carried;
        Self { groups, rules, tests, unknown, closed, left_out, relay: after }
    }
}

impl LearntRule {
    fn of<'u>(rule: Rule, uses: impl Iterator<Item = &'u Use>) -> Self {
        let none = Self { rule, packets: 0, bytes: 0, last: 0 };
        uses.fold(none, |sum, one| Self {
            packets: sum.packets.saturating_add(one.packets),
            bytes: sum.bytes.saturating_add(one.bytes),
            last: sum.last.max(one.last),
            ..sum
        })
    }
}

/// Blocks, each with the one for the way back if there is one.
fn paired(mut blocks: Vec<Block>) -> Vec<(Block, Option<Block>)> {
    let mut paired = Vec::new();
    blocks.reverse();
    while let Some(block) = blocks.pop() {
        let is_back = |other: &Block| {
            other.from == block.to && other.to == block.from && other.services == block.services
        };
        let back = blocks.iter().position(is_back).map(|at| blocks.remove(at));
        paired.push((block, back));
    }
    paired
}

/// The fewest entries of `ports` that hold exactly these services, which are ascending; `icmp` holds
/// echo requests, too.
fn joined(services: &[Service]) -> Vec<Services> {
    let mut entries: Vec<Services> = Vec::new();
    for &service in services {
        match (service, entries.last_mut()) {
            (Service::Port(of, port), Some(Services::Ports { transport, last, .. }))
                if of == *transport && last.checked_add(1) == Some(port) =>
            {
                *last = port;
            }
            (Service::Port(transport, port), _) => {
                entries.push(Services::Ports { transport, first: port, last: port });
            }
            (Service::Echo, _) if services.contains(&Service::Icmp) => {}
            (Service::Echo, _) => entries.push(Services::Echo),
            (Service::Icmp, _) => entries.push(Services::Icmp),
            (Service::Protocol(number), _) => entries.push(Services::Protocol(number)),
        }
    }
    entries
}
