//! Draws who may talk to whom: as a matrix, DOT or SVG. Pure.

mod dot;
mod drawing;
mod matrix;
mod ruled;
mod svg;
mod traffic;

use std::collections::HashMap;

pub use dot::render_dot_into;
pub use drawing::Drawing;
pub use matrix::render_matrix_into;
pub use svg::{Picture, TooMany, render_svg_into};
use traffic::Relayed;
pub use traffic::Traffic;

use ruled::Rules;
pub use ruled::Way;

use crate::{
    model::Relay,
    policy::{Cover, Difference, Family, Ground, Line, Lists, ServiceSet, Sign, Sources},
};

/// The peers of a relay and what lies between them.
#[derive(Debug, Clone)]
pub struct Graph {
    title: String,
    nodes: Vec<Node>,
    /// Kind of each peer, and peers of each kind.
    kind_of: Vec<usize>,
    of_kind: Vec<Vec<usize>>,
    /// Relations between kinds; absent ones are none.
    relations: HashMap<(usize, usize), Relation>,
    rules: Rules,
    /// What rules open, folded by groups: `group:ops → group:servers: tcp/22 (rule ssh)`.
    opened: Vec<String>,
}

/// A peer.
#[derive(Debug, Clone)]
struct Node {
    name: String,
    /// Its first address, and its description.
    about: String,
    enabled: bool,
}

/// The relation between two peers.
///
/// A packet passes if the sender's list contains its destination and the receiver's list its source.
/// The answer swaps both, so whatever passes does so both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Neither lists the other.
    None,
    /// They talk, with all their addresses.
    Whole,
    /// They talk, with some of their addresses: a list lacks some, or a whole family.
    Part,
    /// The first lists the second, which does not list it: nothing passes.
    Lists,
    /// The second lists the first, which does not list it: nothing passes.
    Listed,
    /// Each lists the other, but in different families: nothing passes.
    Crossed,
    /// Their lists let nothing pass, but rules let one or both begin something.
    Ruled(Way),
}

/// Too many pairs to write one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found} pairs are too many to be written one by one (at most {most}); use --format matrix \
     for a summary"
)]
pub struct TooManyPairs {
    /// The number of pairs.
    pub found: usize,
    /// The limit.
    pub most: usize,
}

/// Limit of pairs that are written one by one.
const PAIRS_MAX: usize = 1_000_000;

/// Services of a label.
const LABELLED: usize = 3;

/// Pairs of peers by relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pairs that talk with all addresses.
    pub whole: usize,
    /// Pairs that talk with some addresses.
    pub part: usize,
    /// One-sided pairs, without those that rules let talk.
    pub one_sided: usize,
    /// Pairs that talk by rules alone.
    pub ruled: usize,
}

impl Graph {
    /// The graph of a configuration, at a time in seconds since 1970-01-01T00:00:00Z.
    pub fn new(relay: &Relay, now: u64) -> Self {
        let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
        let lists = Lists::of(&Sources { relay, host_addresses: &[], slots: &slots });
        let kind_of = lists.kinds().to_vec();
        let mut of_kind = vec![Vec::new(); kind_of.iter().max().map_or(0, |last| last + 1)];
        for (peer, &kind) in kind_of.iter().enumerate() {
            of_kind[kind].push(peer);
        }
        let mut relations = HashMap::new();
        for (by, of) in lists.listing() {
            relations.insert((by, of), relation(&lists, by, of));
            relations.insert((of, by), relation(&lists, of, by));
        }
        let nodes = relay.peers.iter().map(|peer| {
            let address = peer.addresses.first().map(ToString::to_string);
            let off = (!peer.enabled).then(|| "disabled".to_owned());
            let parts = address.into_iter().chain(peer.description.clone()).chain(off);
            Node {
                name: peer.name.to_string(),
                about: parts.collect::<Vec<_>>().join(", "),
                enabled: peer.enabled,
            }
        });
        let title = relay.interface.to_string();
        let (nodes, rules) = (nodes.collect(), Rules::of(relay, now));
        let opened = opened(relay, &slots, now);
        Self { title, nodes, kind_of, of_kind, relations, rules, opened }
    }

    /// Names of the peers, in the order of the configuration.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The relation of two peers, by their places in the configuration.
    pub fn relation(&self, from: usize, to: usize) -> Relation {
        if from == to {
            return Relation::None;
        }
        let by_lists = self.by_lists(self.kind_of[from], self.kind_of[to]);
        let way = || self.rules.way(self.rules.role(from), self.rules.role(to));
        match by_lists.talks() {
            true => by_lists,
            false => way().map_or(by_lists, Relation::Ruled),
        }
    }

    /// What the first peer may begin with the second by rules, and by which.
    fn begun(&self, from: usize, to: usize) -> (ServiceSet, Vec<&str>) {
        self.rules.begun(self.rules.role(from), self.rules.role(to))
    }

    /// Whether all that the first peer may begin with the second by rules is lent.
    fn is_lent(&self, from: usize, to: usize) -> bool {
        self.rules.is_lent(self.rules.role(from), self.rules.role(to))
    }

    /// The first services that a peer may begin with another by rules: `tcp/22, udp/53, …`, and
    /// whether they are lent.
    fn label(&self, from: usize, to: usize) -> String {
        let lent = if self.is_lent(from, to) { " (lent)" } else { "" };
        let (entries, is_except) = self.begun(from, to).0.entries();
        let but = match (is_except, entries.is_empty()) {
            (true, true) => return format!("everything{lent}"),
            (true, false) => "everything but ",
            (false, _) => "",
        };
        let more = if entries.len() > LABELLED { ", …" } else { "" };
        let shown: Vec<String> = entries.into_iter().take(LABELLED).collect();
        format!("{but}{}{more}{lent}", shown.join(", "))
    }

    fn by_lists(&self, from: usize, to: usize) -> Relation {
        self.relations.get(&(from, to)).copied().unwrap_or(Relation::None)
    }

    /// Every related pair, in the order of the configuration.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize, Relation)> + '_ {
        self.pairs_with(|relation| relation != Relation::None)
    }

    /// The pairs of the `wanted` relations, in the same order. Pairs that neither lists nor rules
    /// relate are skipped by kind and role, not one by one.
    fn pairs_with<'a>(
        &'a self,
        wanted: impl Fn(Relation) -> bool + 'a,
    ) -> impl Iterator<Item = (usize, usize, Relation)> + 'a {
        let mut partners = vec![Vec::new(); self.of_kind.len()];
        for (&(from, to), &relation) in &self.relations {
            if wanted(relation) {
                partners[from].push(to);
            }
        }
        let roles = self.rules.roles();
        let is_ruled = [Way::There, Way::Back, Way::Both, Way::Alike].map(Relation::Ruled);
        let met: Vec<Vec<usize>> = match !self.rules.is_empty() && is_ruled.into_iter().any(&wanted)
        {
            true => (0..roles.len()).map(|one| self.meeting(one).collect()).collect(),
            false => vec![Vec::new(); roles.len()],
        };
        (0..self.nodes.len()).flat_map(move |from| {
            let by_lists = partners[self.kind_of[from]].iter().map(|kind| &self.of_kind[*kind]);
            let by_rules = met[self.rules.role(from)].iter().map(|role| &roles[*role]);
            let mut to: Vec<usize> = by_lists
                .chain(by_rules)
                .flat_map(|peers| &peers[peers.partition_point(|&to| to <= from)..])
                .copied()
                .collect();
            to.sort_unstable();
            to.dedup();
            let related = to.into_iter().map(|to| (from, to, self.relation(from, to)));
            related.filter(|(_, _, relation)| wanted(*relation)).collect::<Vec<_>>()
        })
    }

    /// Roles that rules relate to a role.
    fn meeting(&self, one: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.rules.roles().len()).filter(move |&other| self.rules.way(one, other).is_some())
    }

    /// Counts pairs by relation.
    pub fn summary(&self) -> Summary {
        let mut twice = Summary::default();
        for one in 0..self.rules.roles().len() {
            let peers = |role: usize| self.rules.roles()[role].len();
            twice.ruled += self
                .meeting(one)
                .map(|other| pairs(peers(one), peers(other), one == other))
                .sum::<usize>();
        }
        for (&(from, to), relation) in &self.relations {
            let (some, others) = (self.of_kind[from].len(), self.of_kind[to].len());
            let all = pairs(some, others, from == to);
            let ruled = self.ruled(from, to);
            match relation {
                Relation::None | Relation::Ruled(_) => {}
                Relation::Whole => twice.whole += all,
                Relation::Part => twice.part += all,
                Relation::Lists | Relation::Listed | Relation::Crossed => {
                    twice.one_sided += all - ruled;
                }
            }
            if relation.talks() {
                twice.ruled -= ruled;
            }
        }
        let Summary { whole, part, one_sided, ruled } = twice;
        Summary { whole: whole / 2, part: part / 2, one_sided: one_sided / 2, ruled: ruled / 2 }
    }

    /// How many pairs of two kinds rules relate.
    fn ruled(&self, from: usize, to: usize) -> usize {
        let roles = |kind: usize| {
            let mut roles: HashMap<usize, usize> = HashMap::new();
            for &peer in &self.of_kind[kind] {
                *roles.entry(self.rules.role(peer)).or_default() += 1;
            }
            roles
        };
        if self.rules.is_empty() {
            return 0;
        }
        let others = roles(to);
        let related = roles(from).into_iter().flat_map(|(one, some)| {
            let met =
                others.iter().filter(move |(other, _)| self.rules.way(one, **other).is_some());
            met.map(move |(other, more)| pairs(some, *more, from == to && one == *other))
        });
        related.sum()
    }

    /// # Errors
    /// There are too many pairs to write one by one.
    pub fn require_few_pairs(&self) -> Result<(), TooManyPairs> {
        let Summary { whole, part, one_sided, ruled } = self.summary();
        let found = whole + part + one_sided + ruled;
        match found <= PAIRS_MAX {
            true => Ok(()),
            false => Err(TooManyPairs { found, most: PAIRS_MAX }),
        }
    }

    /// The number of peers that each peer talks to.
    fn partners(&self) -> Vec<usize> {
        let mut talking: Vec<Vec<usize>> = vec![Vec::new(); self.of_kind.len()];
        for (&(from, to), relation) in &self.relations {
            if relation.talks() {
                talking[from].push(to);
            }
        }
        let of = |peer: usize| (self.kind_of[peer], self.rules.role(peer));
        let mut peers: HashMap<(usize, usize), usize> = HashMap::new();
        (0..self.nodes.len()).for_each(|peer| *peers.entry(of(peer)).or_default() += 1);
        let count = |kind: usize, role: usize| -> usize {
            let others = |other: usize| self.of_kind[other].len() - usize::from(other == kind);
            let by_lists: usize = talking[kind].iter().map(|&other| others(other)).sum();
            let by_rules = self.meeting(role).map(|met| {
                let own = usize::from(met == role);
                let both = talking[kind].iter().map(|&other| {
                    let both = peers.get(&(other, met)).copied().unwrap_or(0);
                    both - usize::from(other == kind && met == role)
                });
                self.rules.roles()[met].len() - own - both.sum::<usize>()
            });
            by_lists + by_rules.sum::<usize>()
        };
        let counts: HashMap<(usize, usize), usize> =
            peers.keys().map(|&(kind, role)| ((kind, role), count(kind, role))).collect();
        (0..self.nodes.len()).map(|peer| counts[&of(peer)]).collect()
    }
}

/// Ordered pairs of two sets of so many peers, which are one set or have nobody in common.
fn pairs(some: usize, others: usize, are_one: bool) -> usize {
    if are_one { some * (some - 1) } else { some * others }
}

impl Relation {
    /// Whether anything passes.
    pub const fn talks(self) -> bool {
        match self {
            Self::Whole | Self::Part | Self::Ruled(_) => true,
            Self::None | Self::Lists | Self::Listed | Self::Crossed => false,
        }
    }
}

/// What rules let through and lists do not.
fn opened(relay: &Relay, slots: &[u32], now: u64) -> Vec<String> {
    if relay.rules.is_empty() {
        return Vec::new();
    }
    let closed = Relay { rules: Vec::new(), ..relay.clone() };
    let sources = |relay| Sources { relay, host_addresses: &[], slots };
    let difference = Difference::between(sources(&closed), sources(relay), now);
    let lines = difference.lines().filter(|line| line.change.sign() == Sign::Gained);
    let text = |Line { from, to, both_ways, change, .. }: Line| {
        let Some(Ground::Rule { name, .. }) = change.after else { return None };
        let arrow = if both_ways { '↔' } else { '→' };
        Some(format!("{from} {arrow} {to}: {} (rule {name})", change.services))
    };
    lines.filter_map(text).collect()
}

/// The relation of two different peers of these kinds.
fn relation(lists: &Lists, from: usize, to: usize) -> Relation {
    let holds = |cover| matches!(cover, Cover::Part | Cover::Whole);
    let covers =
        Family::ALL.map(|family| (lists.cover(from, to, family), lists.cover(to, from, family)));
    let lists = covers.iter().any(|&(there, _)| holds(there));
    let listed = covers.iter().any(|&(_, back)| holds(back));
    let talks = covers.iter().any(|&(there, back)| holds(there) && holds(back));
    let is_whole = covers.iter().all(|pair| {
        matches!(pair, (Cover::Whole, Cover::Whole) | (Cover::Absent, _) | (_, Cover::Absent))
    });
    match (talks, lists, listed) {
        (true, _, _) if is_whole => Relation::Whole,
        (true, _, _) => Relation::Part,
        (false, true, true) => Relation::Crossed,
        (false, true, false) => Relation::Lists,
        (false, false, true) => Relation::Listed,
        (false, false, false) => Relation::None,
    }
}

#[cfg(test)]
mod tests;
