//! Ports and protocols cut into classes, and the rule by which each rule set allows each class.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use relay_common::{
    rules::{Grant, RuleSet},
    service::{self, COUNT},
};

use super::displacement::displace;
use crate::model::{Rule, Service, Services, Transport};

/// Most grants of a generation: 16 MiB of map.
pub(super) const MAX_GRANTS: usize = 1 << 22;

/// Rule sets and service classes as the programs read them.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// The class of each service, by [`relay_common::service`] index; empty without rules.
    pub services: Vec<u16>,
    /// The rule sets, by number.
    pub sets: Vec<RuleSet>,
    /// The rule of each set and class, rows displaced.
    pub grants: Vec<Grant>,
}

/// More than a generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    /// Classes of services.
    Services(usize),
    /// Grants.
    Grants(usize),
}

/// The index of a service in the table of classes.
pub(super) fn index(service: Service) -> u32 {
    match service {
        Service::Port(Transport::Tcp, port) => service::TCP + u32::from(port),
        Service::Port(Transport::Udp, port) => service::UDP + u32::from(port),
        Service::Echo => service::ECHO,
        Service::Icmp => service::ICMP,
        Service::Protocol(number) => service::PROTOCOL + u32::from(number),
    }
}

impl Granted {
    /// Of these rules, which have these numbers, and sets of their places.
    pub(super) fn of(rules: &[Rule], numbers: &[u32], sets: &[Vec<u32>]) -> Result<Self, TooMany> {
        if rules.is_empty() {
            return Ok(Self::default());
        }
        let classes = Classes::of(rules)?;
        let mut rows = Vec::with_capacity(sets.len());
        let mut whole = Vec::with_capacity(sets.len());
        let mut count = 0;
        for set in sets {
            let (row, everything) = row(rules, numbers, &classes, set);
            count += row.len();
            if count > MAX_GRANTS {
                return Err(TooMany::Grants(count));
            }
            rows.push(row);
            whole.push(everything);
        }
        let placed = displace(&rows);
        let sets = placed.starts.iter().zip(whole);
        let grant = |cell: &Option<(u32, u32)>| {
            cell.map_or(Grant::default(), |(set, rule)| Grant::new(narrow(set), narrow(rule)))
        };
        Ok(Self {
            services: classes.table,
            sets: sets.map(|(&row, rule)| RuleSet::new(row, rule)).collect(),
            grants: placed.cells.iter().map(grant).collect(),
        })
    }
}

/// Which of several rules decides: that which ends last, and of those the first.
fn rank(rules: &[Rule], place: u32) -> (u64, Reverse<u32>) {
    (rules[place as usize].until.unwrap_or(u64::MAX), Reverse(place))
}

/// The rule of each class in a set, and the one that allows everything else; 0 for none.
fn row(rules: &[Rule], numbers: &[u32], classes: &Classes, set: &[u32]) -> (Vec<(u32, u32)>, u32) {
    let rank = |place: u32| rank(rules, place);
    let (whole, parts): (Vec<u32>, Vec<u32>) =
        set.iter().partition(|&&place| rules[place as usize].services.is_empty());
    let whole = whole.into_iter().max_by_key(|&place| rank(place));
    let mut best: BTreeMap<u16, u32> = BTreeMap::new();
    for place in parts {
        if whole.is_some_and(|whole| rank(whole) > rank(place)) {
            continue;
        }
        for services in &rules[place as usize].services {
            for &class in &classes.of[services] {
                let kept = best.entry(class).or_insert(place);
                if rank(place) > rank(*kept) {
                    *kept = place;
                }
            }
        }
    }
    let number = |place: u32| numbers[place as usize];
    let row = best.into_iter().map(|(class, place)| (u32::from(class), number(place)));
    (row.collect(), whole.map_or(0, number))
}

/// Services that the same entries of rules hold are one class; class 0 is what no entry holds.
struct Classes {
    table: Vec<u16>,
    /// The classes of each entry.
    of: HashMap<Services, Vec<u16>>,
}

impl Classes {
    fn of(rules: &[Rule]) -> Result<Self, TooMany> {
        let mut entries: Vec<Services> =
            rules.iter().flat_map(|rule| &rule.services).copied().collect();
        entries.sort_unstable();
        entries.dedup();
        let mut found = Found { numbers: HashMap::from([(Vec::new(), 0)]), held: vec![Vec::new()] };
        let mut table = vec![0; COUNT as usize];
        for transport in [Transport::Tcp, Transport::Udp] {
            for (ports, held) in pieces(transport, &entries) {
                let class = found.number(held)?;
                let base = index(Service::Port(transport, 0)) as usize;
                let (first, last) = (*ports.start() as usize, *ports.end() as usize);
                table[base + first..=base + last].fill(class);
            }
        }
        let others = [Service::Echo, Service::Icmp].into_iter();
        for service in others.chain((0..=u8::MAX).map(Service::Protocol)) {
            let held = (0..).zip(&entries).filter(|(_, entry)| entry.hold(service));
            table[index(service) as usize] = found.number(held.map(|(at, _)| at).collect())?;
        }
        let mut of: HashMap<Services, Vec<u16>> =
            entries.iter().map(|&entry| (entry, Vec::new())).collect();
        for (class, held) in (0..).zip(&found.held) {
            for &entry in held {
                of.entry(entries[entry as usize]).or_default().push(class);
            }
        }
        Ok(Self { table, of })
    }
}

/// Classes found so far, by the entries that hold them.
struct Found {
    numbers: HashMap<Vec<u32>, u16>,
    held: Vec<Vec<u32>>,
}

impl Found {
    fn number(&mut self, held: Vec<u32>) -> Result<u16, TooMany> {
        if let Some(&number) = self.numbers.get(&held) {
            return Ok(number);
        }
        let number =
            u16::try_from(self.held.len()).map_err(|_above| TooMany::Services(self.held.len()))?;
        self.held.push(held.clone());
        self.numbers.insert(held, number);
        Ok(number)
    }
}

/// The ports of a transport, cut wherever an entry begins or ends, each piece with the entries that
/// hold it.
fn pieces(
    transport: Transport,
    entries: &[Services],
) -> Vec<(std::ops::RangeInclusive<u16>, Vec<u32>)> {
    let ranges: Vec<(u32, u32, u32)> = (0..)
        .zip(entries)
        .filter_map(|(at, entry)| match *entry {
            Services::Ports { transport: of, first, last } if of == transport => {
                Some((at, first.into(), last.into()))
            }
            Services::Ports { .. } | Services::Echo | Services::Icmp | Services::Protocol(_) => {
                None
            }
        })
        .collect();
    let mut events: BTreeMap<u32, Vec<(bool, u32)>> = BTreeMap::from([(0, Vec::new())]);
    for &(at, first, last) in &ranges {
        events.entry(first).or_default().push((true, at));
        events.entry(last + 1).or_default().push((false, at));
    }
    let ends = events.keys().skip(1).copied().chain([1 << 16]).collect::<Vec<_>>();
    let mut held: std::collections::BTreeSet<u32> = std::collections::BTreeSet::new();
    let mut pieces = Vec::new();
    for ((start, changes), end) in events.into_iter().zip(ends) {
        for (begins, at) in changes {
            if begins {
                held.insert(at);
            } else {
                held.remove(&at);
            }
        }
        if let (Ok(first), Ok(last)) = (u16::try_from(start), u16::try_from(end - 1)) {
            pieces.push((first..=last, held.iter().copied().collect()));
        }
    }
    pieces
}

fn narrow(number: u32) -> u16 {
    u16::try_from(number).expect("sets and rules are counted in 16 bits")
}
