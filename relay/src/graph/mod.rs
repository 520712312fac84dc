//! Draws who may talk to whom: as a matrix, DOT or SVG. Pure.

mod dot;
mod matrix;
mod svg;

use std::collections::HashMap;

pub use dot::render_dot_into;
pub use matrix::render_matrix_into;
pub use svg::{Picture, TooMany, render_svg_into};

use crate::{
    model::Relay,
    policy::{Cover, Family, Lists, Sources},
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
}

/// A peer.
#[derive(Debug, Clone)]
struct Node {
    name: String,
    /// Its first address, and its description.
    about: String,
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
}

/// Counters of a running relay, for the picture.
#[derive(Debug, Clone)]
pub struct Traffic {
    peers: Vec<u64>,
    most_of_a_peer: u64,
    /// `None` if pairs are not counted.
    pairs: Option<HashMap<(usize, usize), u64>>,
    most_of_a_pair: u64,
}

/// Bytes relayed.
#[derive(Debug, Clone, Copy)]
struct Relayed {
    bytes: u64,
    /// Length as a share of the longest: the square root, because the eye compares areas.
    share: f64,
}

/// Too many pairs to write one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found} pairs are too many to be written one by one (at most {PAIRS_MAX}); use --format matrix \
     for a summary"
)]
pub struct TooManyPairs {
    /// The number of pairs.
    pub found: usize,
}

/// Limit of pairs that are written one by one.
const PAIRS_MAX: usize = 1_000_000;

/// Pairs of peers by relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pairs that talk with all addresses.
    pub whole: usize,
    /// Pairs that talk with some addresses.
    pub part: usize,
    /// One-sided pairs.
    pub one_sided: usize,
}

impl Graph {
    /// The graph of a configuration.
    pub fn new(relay: &Relay) -> Self {
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
            Node { name: peer.name.to_string(), about: parts.collect::<Vec<_>>().join(", ") }
        });
        let title = relay.interface.to_string();
        Self { title, nodes: nodes.collect(), kind_of, of_kind, relations }
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
        let kinds = (self.kind_of[from], self.kind_of[to]);
        self.relations.get(&kinds).copied().unwrap_or(Relation::None)
    }

    /// Every related pair, in the order of the configuration.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize, Relation)> + '_ {
        self.pairs_with(|relation| relation != Relation::None)
    }

    /// The pairs of the `wanted` relations, in the same order. Other pairs are skipped by kind, not
    /// one by one.
    fn pairs_with(
        &self,
        wanted: impl Fn(Relation) -> bool,
    ) -> impl Iterator<Item = (usize, usize, Relation)> + '_ {
        let mut partners = vec![Vec::new(); self.of_kind.len()];
        for (&(from, to), &relation) in &self.relations {
            if wanted(relation) {
                partners[from].push(to);
            }
        }
        (0..self.nodes.len()).flat_map(move |from| {
            let kinds = &partners[self.kind_of[from]];
            let mut to: Vec<usize> = kinds
                .iter()
                .flat_map(|kind| {
                    let peers = &self.of_kind[*kind];
                    &peers[peers.partition_point(|&to| to <= from)..]
                })
                .copied()
                .collect();
            to.sort_unstable();
            to.into_iter().map(move |to| (from, to, self.relation(from, to)))
        })
    }

    /// Counts pairs by relation.
    pub fn summary(&self) -> Summary {
        let mut twice = Summary::default();
        for (&(from, to), relation) in &self.relations {
            let (some, others) = (self.of_kind[from].len(), self.of_kind[to].len());
            let pairs = if from == to { some * (some - 1) } else { some * others };
            match relation {
                Relation::None => {}
                Relation::Whole => twice.whole += pairs,
                Relation::Part => twice.part += pairs,
                Relation::Lists | Relation::Listed | Relation::Crossed => twice.one_sided += pairs,
            }
        }
        let Summary { whole, part, one_sided } = twice;
        Summary { whole: whole / 2, part: part / 2, one_sided: one_sided / 2 }
    }

    /// # Errors
    /// There are too many pairs to write one by one.
    pub fn require_few_pairs(&self) -> Result<(), TooManyPairs> {
        let Summary { whole, part, one_sided } = self.summary();
        let found = whole + part + one_sided;
        if found <= PAIRS_MAX { Ok(()) } else { Err(TooManyPairs { found }) }
    }

    /// The number of peers that each peer talks to.
    fn partners(&self) -> Vec<usize> {
        let mut of_kind = vec![0; self.of_kind.len()];
        for (&(from, to), relation) in &self.relations {
            if relation.talks() {
                of_kind[from] += self.of_kind[to].len() - usize::from(from == to);
            }
        }
        self.kind_of.iter().map(|&kind| of_kind[kind]).collect()
    }
}

impl Traffic {
    /// Takes the bytes relayed from and to each peer, in the order of the configuration. If pairs are
    /// counted, also those between two peers both ways, keyed by places in ascending order.
    pub fn new(peers: Vec<u64>, pairs: Option<HashMap<(usize, usize), u64>>) -> Self {
        let most_of_a_peer = peers.iter().copied().max().unwrap_or(0);
        let most_of_a_pair =
            pairs.as_ref().and_then(|pairs| pairs.values().copied().max()).unwrap_or(0);
        Self { peers, most_of_a_peer, pairs, most_of_a_pair }
    }

    fn of_peer(&self, at: usize) -> Option<Relayed> {
        self.peers.get(at).map(|&bytes| Relayed::of(bytes, self.most_of_a_peer))
    }

    fn of_pair(&self, from: usize, to: usize) -> Option<Relayed> {
        let bytes = self.pairs.as_ref()?.get(&(from, to)).copied().unwrap_or(0);
        Some(Relayed::of(bytes, self.most_of_a_pair))
    }
}

impl Relayed {
    fn of(bytes: u64, most: u64) -> Self {
        let share = if most == 0 { 0.0 } else { (bytes as f64 / most as f64).sqrt() };
        Self { bytes, share }
    }
}

impl Relation {
    /// Whether anything passes.
    pub const fn talks(self) -> bool {
        match self {
            Self::Whole | Self::Part => true,
            Self::None | Self::Lists | Self::Listed | Self::Crossed => false,
        }
    }
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
