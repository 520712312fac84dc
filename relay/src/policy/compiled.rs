//! The policy as the programs read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv6Net};
use relay_common::{
    Cell, Leaf, Reason,
    cell::{self, DESTINATION_LISTS, Lists, RULED, SOURCE_LISTS},
    header::protocol,
    host_access::{HostPolicy, port_key},
    leaf::Special,
    limits::Limits,
    names::{EGRESS_STACK, ENDS, FAST_PATH, LIMITED, MESH, PAIR_STATS, RULES},
    rules::{Directions, Grant, RuleSet, Rules, allowing},
    verdict::{Verdict, decide},
};

use super::{
    class::Classes,
    compile_error::{CompileError, MAX_CELLS},
    displacement::displace,
    limits,
    range::Range,
    services::{self, Granted},
    sources::Sources,
    space::{Cut, Owner, Space},
};
use crate::model::{Egress, HostAccess, Mesh, Relay, Service, Transport};

/// A policy as the maps and constants of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// IPv4 addresses in the array, as numbers below 2^32.
    pub range_v4: Range,
    /// IPv6 addresses in the array.
    pub range_v6: Range,
    /// Leaf of each address of `range_v4`.
    pub leaves_v4: Vec<Leaf>,
    /// Leaf of each address of `range_v6`.
    pub leaves_v6: Vec<Leaf>,
    /// Leaf of each prefix, for addresses outside the ranges: the longest match wins.
    pub prefixes: Vec<(IpNet, Leaf)>,
    /// Cells of the class matrix, rows displaced.
    pub cells: Vec<Cell>,
    /// Rule sets of each cell; empty without rules.
    pub directions: Vec<Directions>,
    /// Rule sets, by number; empty without rules.
    pub rule_sets: Vec<RuleSet>,
    /// The rule of each rule set and class of services, rows displaced; empty without rules.
    pub grants: Vec<Grant>,
    /// The class of each [`relay_common::service`] index; empty without rules.
    pub services: Vec<u16>,
    /// When each rule ends, by its number: seconds since 1970-01-01T00:00:00Z.
    pub rule_ends: BTreeMap<u32, Option<u64>>,
    /// Limits of each slot; empty without limits.
    pub limits: Vec<Limits>,
    /// The relay's IPv4 address, source of its ICMP errors.
    pub relay_v4: Option<Ipv4Addr>,
    /// The relay's IPv6 address, source of its ICMPv6 errors.
    pub relay_v6: Option<Ipv6Addr>,
    /// The network of transit interfaces, if there are any.
    pub transit: Option<Ipv6Net>,
    /// WireGuard's UDP port.
    pub listen_port: u16,
    /// MTU of the WireGuard interface, bytes.
    pub mtu: u32,
    /// Feature bits of [`relay_common::names`].
    pub features: u32,
    /// What peers may reach on the relay.
    pub host_policy: HostPolicy,
    /// Keys of open ports, sorted.
    pub host_ports: HostPorts,
}

/// Keys ([`port_key`]) of the relay's ports that are open to peers.
pub type HostPorts = BTreeSet<u32>;

/// Size of a compiled policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Addresses in arrays.
    pub leaves: usize,
    /// Prefixes in tries.
    pub prefixes: usize,
    /// Cells of the class matrix that are not empty.
    pub cells: usize,
}

/// Compiles a policy. `rule_numbers` are those of the rules' counters, in the order of
/// `relay.rules`; never 0.
///
/// # Errors
/// Lists or rules need more room than a generation has.
pub fn compile(sources: &Sources<'_>, rule_numbers: &[u32]) -> Result<Compiled, CompileError> {
    let relay = sources.relay;
    let (space, classes, granted) = tables(sources, rule_numbers)?;
    let placed = displace(&matrix(&classes));
    let cells = placed.cells.iter().map(|cell| match cell {
        Some((class, value)) => Cell::new(Cell::tag(*class), *value & CELL_BITS),
        None => Cell::EMPTY,
    });
    let directions = placed.cells.iter().map(|cell| match cell {
        Some((_, value)) => classes.directions[(value >> CELL_BITS.count_ones()) as usize],
        None => Directions::default(),
    });

    let leaf = |cut: &Cut, class: Option<u32>| match (cut.owner, class) {
        (Owner::Special(Special::Host), Some(class)) => Leaf::host(Classes::column(class)),
        (Owner::Special(special), _) => Leaf::special(special),
        (Owner::Peer(peer), None) => Leaf::disabled(sources.slots[peer]),
        (Owner::Nobody, None) => Leaf::NOBODY,
        (owner, Some(class)) => {
            let slot = match owner {
                Owner::Peer(peer) => sources.slots[peer],
                Owner::Nobody | Owner::Special(_) => 0,
            };
            Leaf::new(slot, placed.starts[class as usize], Classes::column(class), Cell::tag(class))
        }
    };
    let prefixes: Vec<(IpNet, Leaf)> = space
        .cuts
        .iter()
        .zip(&classes.of_cut)
        .map(|(cut, &class)| (cut.prefix, leaf(cut, class)))
        .collect();

    let owned = |v4: bool| {
        let addresses = relay.peers.iter().flat_map(|peer| peer.addresses.iter());
        addresses.filter(move |address| address.is_ipv4() == v4).map(|&address| number(address))
    };
    let range_v4 = Range::around(owned(true));
    let range_v6 = Range::around(owned(false));
    Ok(Compiled {
        range_v4,
        range_v6,
        leaves_v4: paint(&range_v4, &prefixes, true),
        leaves_v6: paint(&range_v6, &prefixes, false),
        prefixes: prefixes
            .into_iter()
            .filter(|(p, _)| reaches_out(p, &range_v4, &range_v6))
            .collect(),
        cells: cells.collect(),
        directions: if relay.rules.is_empty() { Vec::new() } else { directions.collect() },
        rule_sets: granted.sets,
        grants: granted.grants,
        services: granted.services,
        rule_ends: rule_numbers
            .iter()
            .copied()
            .zip(relay.rules.iter().map(|rule| rule.until))
            .collect(),
        limits: limits::of(sources),
        relay_v4: relay.addresses.iter().find_map(|net| match net {
            IpNet::V4(net) => Some(net.addr()),
            IpNet::V6(_) => None,
        }),
        relay_v6: relay.addresses.iter().find_map(|net| match net {
            IpNet::V6(net) => Some(net.addr()),
            IpNet::V4(_) => None,
        }),
        transit: relay.mesh.as_ref().map(Mesh::network),
        listen_port: relay.listen_port,
        mtu: u32::from(relay.mtu),
        features: features(relay),
        host_policy: match &relay.host_access {
            HostAccess::None => HostPolicy::None,
            HostAccess::Ping => HostPolicy::Ping,
            HostAccess::Ports(_) => HostPolicy::Ports,
            HostAccess::All => HostPolicy::All,
        },
        host_ports: host_ports(&relay.host_access),
    })
}

/// The place of the first rule that, with those before it, needs more room than a generation has;
/// `None` if lists alone do, or all of it fits.
pub fn first_beyond(sources: &Sources<'_>) -> Option<usize> {
    let rules = &sources.relay.rules;
    let numbers: Vec<u32> = (1..).take(rules.len()).collect();
    let fits = |count: usize| {
        let relay = Relay { rules: rules[..count].to_vec(), ..sources.relay.clone() };
        tables(&Sources { relay: &relay, ..*sources }, &numbers[..count]).is_ok()
    };
    if !fits(0) || fits(rules.len()) {
        return None;
    }
    let counts: Vec<usize> = (1..rules.len()).collect();
    Some(counts.partition_point(|&count| fits(count)))
}

fn tables(
    sources: &Sources<'_>,
    rule_numbers: &[u32],
) -> Result<(Space, Classes, Granted), CompileError> {
    let relay = sources.relay;
    let space = Space::cut(sources);
    let classes = Classes::find(&space, relay, MAX_CELLS)?;
    let granted = Granted::of(&relay.rules, rule_numbers, &classes.rule_sets)?;
    Ok((space, classes, granted))
}

impl Compiled {
    /// The verdict of the programs on a packet between two addresses, from the same tables.
    ///
    /// # Errors
    /// Why the packet is dropped.
    pub fn decide(&self, source: IpAddr, destination: IpAddr) -> Result<Verdict, Reason> {
        let (source, destination) = (self.leaf(source), self.leaf(destination));
        let index = usize::try_from(source.cell_index(&destination)).unwrap_or(usize::MAX);
        let cell = self.cells.get(index).copied();
        let stack = self.features & EGRESS_STACK != 0;
        decide(&source, &destination, cell.unwrap_or(Cell::EMPTY), stack)
    }

    /// The rule, by its number, by which the programs let one address begin something with another;
    /// `None` if rules do not decide between them, or none allows it. Whether it has ended is not
    /// considered.
    pub fn allowing(&self, source: IpAddr, destination: IpAddr, service: Service) -> Option<u32> {
        let (source, destination) = (self.leaf(source), self.leaf(destination));
        let index = usize::try_from(source.cell_index(&destination)).ok()?;
        if self.cells.get(index)?.lists(&source) != Lists::Ruled {
            return None;
        }
        allowing(&self, self.directions.get(index)?.forward, services::index(service))
    }

    /// Slot under which dropped packets from an address are counted.
    pub fn counted_slot(&self, source: IpAddr) -> u32 {
        self.leaf(source).counted_slot()
    }

    /// Its size.
    pub fn counts(&self) -> Counts {
        Counts {
            leaves: self.leaves_v4.len() + self.leaves_v6.len(),
            prefixes: self.prefixes.len(),
            cells: self.cells.iter().filter(|cell| !cell.is_empty()).count(),
        }
    }

    fn leaf(&self, address: IpAddr) -> Leaf {
        let (range, leaves) = match address {
            IpAddr::V4(_) => (&self.range_v4, &self.leaves_v4),
            IpAddr::V6(_) => (&self.range_v6, &self.leaves_v6),
        };
        if let Some(index) = range.index(number(address)) {
            return leaves[index];
        }
        let holding = self.prefixes.iter().filter(|(prefix, _)| prefix.contains(&address));
        holding
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .map_or(Leaf::NOBODY, |&(_, leaf)| leaf)
    }
}

impl Rules for &Compiled {
    fn class(&self, service: u32) -> u16 {
        self.services.get(service as usize).copied().unwrap_or(0)
    }

    fn set(&self, number: u16) -> RuleSet {
        self.rule_sets.get(usize::from(number)).copied().unwrap_or_default()
    }

    fn grant(&self, index: u64) -> Grant {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.grants.get(index).copied().unwrap_or_default()
    }
}

/// Bits of a cell. In the displaced matrix the number of its pair of rule sets is above them.
const CELL_BITS: u32 = SOURCE_LISTS | DESTINATION_LISTS | RULED | cell::LIMITED;

/// The rows of the class matrix, with one number a cell.
fn matrix(classes: &Classes) -> Vec<Vec<(u32, u32)>> {
    let value = |bits: u32, directions: usize| {
        let number = u32::try_from(directions).expect("fewer pairs of sets than cells");
        bits | number << CELL_BITS.count_ones()
    };
    let cells = |row: &Vec<(u32, u32, usize)>| {
        row.iter().map(|&(column, bits, directions)| (column, value(bits, directions))).collect()
    };
    classes.rows.iter().map(cells).collect()
}

/// An address as a number. The upper 96 bits of an IPv4 address are zero.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The leaf of every address of a range. A prefix comes before longer ones inside it, so the last to
/// paint an address is its longest match.
fn paint(range: &Range, prefixes: &[(IpNet, Leaf)], v4: bool) -> Vec<Leaf> {
    let mut leaves = vec![Leaf::NOBODY; range.size() as usize];
    for (prefix, leaf) in prefixes.iter().filter(|(prefix, _)| prefix.addr().is_ipv4() == v4) {
        let host_bits = u32::from(prefix.max_prefix_len() - prefix.prefix_len());
        if let Some((first, count)) = range.overlap(number(prefix.network()), host_bits) {
            leaves[first..first + count].fill(*leaf);
        }
    }
    leaves
}

/// Whether the prefix has addresses outside its family's range.
fn reaches_out(prefix: &IpNet, v4: &Range, v6: &Range) -> bool {
    let range = if prefix.addr().is_ipv4() { v4 } else { v6 };
    let inside = |address| range.index(number(address)).is_some();
    !(inside(prefix.network()) && inside(prefix.broadcast()))
}

fn features(relay: &Relay) -> u32 {
    let fast_path = if relay.fast_path { FAST_PATH } else { 0 };
    let egress = if relay.egress == Egress::Stack { EGRESS_STACK } else { 0 };
    let pairs = if relay.pair_stats { PAIR_STATS } else { 0 };
    let rules = if relay.rules.is_empty() { 0 } else { RULES };
    let ends = if relay.has_ends() { ENDS } else { 0 };
    let limited = if limits::exist(relay) { LIMITED } else { 0 };
    let mesh = if relay.mesh.is_some() { MESH } else { 0 };
    fast_path | egress | pairs | rules | ends | limited | mesh
}

fn host_ports(access: &HostAccess) -> HostPorts {
    let HostAccess::Ports(ports) = access else { return HostPorts::new() };
    let keys = ports.iter().map(|port| match port.transport {
        Transport::Tcp => port_key(protocol::TCP, port.number),
        Transport::Udp => port_key(protocol::UDP, port.number),
    });
    keys.collect()
}

#[cfg(test)]
mod tests;
