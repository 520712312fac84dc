//! What one policy lets through that another does not, exactly, in few lines.
//!
//! 1. `refinement`: the address space, cut at every prefix of both policies; leaves about which both
//!    say the same share a class.
//! 2. `relation`: the grounds of each policy to let something through between two classes; `change`
//!    compares them. Only what differs is looked at.
//! 3. `nodes`: from classes to peers, or to some addresses of a peer.
//! 4. `fold`: from pairs to blocks of them; `end` names the sides of a block by groups.

mod bits;
mod change;
mod end;
mod fold;
mod interned;
mod nodes;
mod refinement;
mod relation;

use std::collections::BTreeMap;

use bits::Bits;
pub use change::{Change, Ground, Sign};
use end::Ends;
pub use end::{End, Name};
use fold::{Block, fold, split};
use nodes::{ByFamily, Nodes};
pub use refinement::Area;
use refinement::Refinement;
use relation::Relations;

use super::{lists::Family, sources::Sources};

/// The difference of two policies.
#[derive(Debug)]
pub struct Difference<'a> {
    nodes: Nodes<'a>,
    ends: Ends<'a>,
    changes: Vec<(Change, ByFamily)>,
    /// Kinds between which lists are gained or lost and something is kept.
    kept: [BTreeMap<u32, Bits>; 2],
}

/// A change, and between whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who may begin.
    pub from: End,
    /// With whom.
    pub to: End,
    /// Whether the other side may begin too.
    pub both_ways: bool,
    /// The only family that it is about.
    pub family: Option<Family>,
    /// What changes.
    pub change: Change,
    /// Whether another line says that some of it is kept.
    pub but_kept: bool,
}

/// Pairs in which somebody may begin more, less, or something with another end or ground, each
/// direction by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Concerned {
    /// With something gained.
    pub gained: usize,
    /// With something lost.
    pub lost: usize,
    /// With another end or ground.
    pub kept: usize,
}

impl Concerned {
    /// Whether something is gained or lost.
    pub const fn differs(&self) -> bool {
        self.gained + self.lost > 0
    }
}

impl<'a> Difference<'a> {
    /// Compares two policies, at a time in seconds since 1970-01-01T00:00:00Z. Peers are the same if
    /// their names are.
    pub fn between(before: Sources<'a>, after: Sources<'a>, now: u64) -> Self {
        let refinement = Refinement::of(before, after);
        let (changes, rows) = Relations::find(&refinement, now);
        let mut nodes = Nodes::of(&refinement);
        let classes = refinement.classes.values();
        let lifted = rows.iter().map(|rows| nodes.lifted(rows, classes));
        let mut changes: Vec<(Change, ByFamily)> =
            changes.all().iter().cloned().zip(lifted).collect();
        changes.sort_by(|(one, _), (other, _)| (one.sign(), one).cmp(&(other.sign(), other)));
        let ends = Ends::of([before.relay, after.relay], &nodes, refinement.parties);
        let kept = [Sign::Gained, Sign::Lost].map(|sign| {
            let of_lists = changes.iter().filter(|(change, _)| change.keeps(sign));
            kinds(&nodes, of_lists.flat_map(|(_, of_family)| of_family.values()))
        });
        Self { nodes, ends, changes, kept }
    }

    /// The changes, each between as many as possible: those gained first, then those lost.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.related().flat_map(move |(change, family, rows)| {
            let sets = self.ends.sets(change.sign());
            let blocks = fold(rows, &self.nodes, sets);
            blocks.into_iter().map(move |block| {
                let Block { from, to, both_ways } = block;
                let end = |some: &Bits, others: &Bits| {
                    self.ends.folded(&self.nodes, some, others, change.sign())
                };
                let but_kept = self.is_kept(change, &from, &to, both_ways);
                let (from, to) = (end(&from, &to), end(&to, &from));
                Line { from, to, both_ways, family, change: change.clone(), but_kept }
            })
        })
    }

    /// The changes, each pair by itself.
    pub fn pairs(&self) -> impl Iterator<Item = Line> + '_ {
        self.related().flat_map(move |(change, family, rows)| {
            let (both, one) = split(rows);
            let of = move |rows: BTreeMap<u32, Bits>, both_ways: bool| {
                rows.into_iter().flat_map(move |(from, row)| {
                    let row: Vec<u32> = row.iter().filter(|to| !both_ways || *to >= from).collect();
                    row.into_iter().flat_map(move |to| {
                        let (one, other) = (Bits::of(from), Bits::of(to));
                        let but_kept = self.is_kept(change, &one, &other, both_ways);
                        let pairs = self.pairs_of(from, to, both_ways);
                        pairs.map(move |(from, to)| Line {
                            from,
                            to,
                            both_ways,
                            family,
                            change: change.clone(),
                            but_kept,
                        })
                    })
                })
            };
            of(both, true).chain(of(one, false))
        })
    }

    /// How many pairs each sign is about.
    pub fn concerned(&self) -> Concerned {
        let of = |sign| {
            let related = self.related().filter(|(change, ..)| change.sign() == sign);
            self.nodes.pairs(&kinds(&self.nodes, related.map(|(_, _, rows)| rows)))
        };
        Concerned { gained: of(Sign::Gained), lost: of(Sign::Lost), kept: of(Sign::Kept) }
    }

    fn related(&self) -> impl Iterator<Item = (&Change, Option<Family>, &BTreeMap<u32, Bits>)> {
        self.changes.iter().flat_map(|(change, of_family)| {
            of_family.iter().map(move |(family, rows)| (change, *family, rows))
        })
    }

    /// Whether some of a change by lists is kept within a block.
    fn is_kept(&self, change: &Change, from: &Bits, to: &Bits, both_ways: bool) -> bool {
        let kept = match (change.sign(), change.lists()) {
            (Sign::Gained, true) => &self.kept[0],
            (Sign::Lost, true) => &self.kept[1],
            _ => return false,
        };
        let kinds =
            |nodes: &Bits| nodes.iter().map(|node| self.nodes.get(node).kind).collect::<Bits>();
        let (from, to) = (kinds(from), kinds(to));
        let meets = |some: &Bits, others: &Bits| {
            let mut rows = some.iter().filter_map(|kind| kept.get(&kind));
            rows.any(|row| !row.intersection(others).is_empty())
        };
        meets(&from, &to) || both_ways && meets(&to, &from)
    }

    /// The pairs of parties of two nodes.
    fn pairs_of(
        &self,
        from: u32,
        to: u32,
        both_ways: bool,
    ) -> impl Iterator<Item = (End, End)> + '_ {
        let (sources, destinations) = (self.nodes.parties(from), self.nodes.parties(to));
        let is_same_kind = self.nodes.get(from).kind == self.nodes.get(to).kind;
        sources.iter().enumerate().flat_map(move |(at, source)| {
            let others = destinations.iter().enumerate();
            let others = others.filter(move |(other, _)| {
                !is_same_kind || if both_ways && from == to { *other > at } else { *other != at }
            });
            others.map(move |(_, destination)| {
                let end = |node, party| self.ends.single(&self.nodes, node, party);
                (end(from, *source), end(to, *destination))
            })
        })
    }
}

/// Relations of nodes as one of kinds.
fn kinds<'r>(
    nodes: &Nodes<'_>,
    relations: impl Iterator<Item = &'r BTreeMap<u32, Bits>>,
) -> BTreeMap<u32, Bits> {
    let mut all: BTreeMap<u32, Bits> = BTreeMap::new();
    for (from, row) in relations.flatten() {
        let kinds = row.iter().map(|to| nodes.get(to).kind);
        let known = all.entry(nodes.get(*from).kind).or_default();
        *known = known.union(&kinds.collect());
    }
    all
}

#[cfg(test)]
mod tests;
