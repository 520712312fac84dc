use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use super::{bits::Bits, nodes::Nodes};

/// Every node of one side with every node of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub from: Bits,
    pub to: Bits,
    /// Whether it holds from `to` to `from` too.
    pub both_ways: bool,
}

type Rows = BTreeMap<u32, Bits>;

/// Folds a relation into blocks that are it together: first blocks of the given sets, largest first,
/// then nodes that are related to the same others.
pub(super) fn fold(rows: &Rows, nodes: &Nodes<'_>, sets: &[Bits]) -> Vec<Block> {
    let candidates = candidates(rows, nodes, sets);
    let mut left = Left { rows: rows.clone(), blocks: Vec::new() };
    let known: HashSet<(usize, usize)> = candidates.iter().copied().collect();
    for (from, to) in candidates {
        let both_ways = known.contains(&(to, from));
        left.take_if_worth((&sets[from], &sets[to]), both_ways, nodes);
    }
    let (both, one) = split(&left.rows);
    let mut blocks = left.blocks;
    for (rows, both_ways) in [(both, true), (one, false)] {
        let mut left = Left { rows, blocks: Vec::new() };
        left.take_alike(both_ways, nodes);
        blocks.extend(left.blocks);
    }
    blocks
}

/// What holds both ways, and what does not.
pub(super) fn split(rows: &Rows) -> (Rows, Rows) {
    let turned = turned(rows);
    let of = |of: fn(&Bits, &Bits) -> Bits| -> Rows {
        let empty = Bits::default();
        let rows =
            rows.iter().map(|(from, to)| (*from, of(to, turned.get(from).unwrap_or(&empty))));
        rows.filter(|(_, to)| !to.is_empty()).collect()
    };
    (of(Bits::intersection), of(Bits::without))
}

fn turned(rows: &Rows) -> Rows {
    let mut turned = Rows::new();
    for (from, to) in rows {
        to.iter().for_each(|to| turned.entry(to).or_default().insert(*from));
    }
    turned
}

/// Blocks of two sets, by their places, that are wholly in the relation, largest first. A party
/// exchanges nothing with itself, so that it may be in both sets.
fn candidates(rows: &Rows, nodes: &Nodes<'_>, sets: &[Bits]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (from, of) in sets.iter().enumerate() {
        let mut common: Option<Bits> = None;
        for node in of.iter() {
            let Some(row) = rows.get(&node) else {
                common = None;
                break;
            };
            let row = with_itself(row, node, nodes);
            common = Some(common.map_or(row.clone(), |common| common.intersection(&row)));
            if common.as_ref().is_some_and(Bits::is_empty) {
                break;
            }
        }
        let Some(common) = common else { continue };
        let within = sets.iter().enumerate().filter(|(_, to)| to.is_subset(&common));
        found.extend(within.map(|(to, _)| (from, to)));
    }
    found.sort_by_cached_key(|&(from, to)| Reverse(sets[from].len() * sets[to].len()));
    found
}

fn with_itself(row: &Bits, node: u32, nodes: &Nodes<'_>) -> Bits {
    let mut row = row.clone();
    if nodes.are_one(node, node) {
        row.insert(node);
    }
    row
}

/// What is yet to be folded.
struct Left {
    rows: Rows,
    blocks: Vec<Block>,
}

impl Left {
    /// Takes a block unless most of it is taken.
    fn take_if_worth(&mut self, (from, to): (&Bits, &Bits), both_ways: bool, nodes: &Nodes<'_>) {
        let row = |node: u32| self.rows.get(&node).map_or(0, |row| row.intersection(to).len());
        let new: usize = from.iter().map(row).sum();
        if new * 2 > (from.len() * to.len()).saturating_sub(from.intersection(to).len()) {
            self.take(from.clone(), to.clone(), both_ways, nodes);
        }
    }

    fn take(&mut self, from: Bits, to: Bits, both_ways: bool, nodes: &Nodes<'_>) {
        let ways = [(&from, &to), (&to, &from)];
        for (from, to) in &ways[..if both_ways { 2 } else { 1 }] {
            for node in from.iter() {
                if let Some(row) = self.rows.get_mut(&node) {
                    *row = row.without(to);
                }
            }
        }
        self.rows.retain(|_, row| !row.is_empty());
        // Two among themselves are a pair.
        let are_two = both_ways
            && from == to
            && from.len() == 2
            && from.iter().all(|node| nodes.are_one(node, node));
        let (from, to) = match are_two {
            true => (from.iter().take(1).collect(), to.iter().skip(1).collect()),
            false => (from, to),
        };
        self.blocks.push(Block { from, to, both_ways });
    }

    /// Takes everything, nodes with equal rows together. If there are fewer different columns than
    /// rows, by columns.
    fn take_alike(&mut self, both_ways: bool, nodes: &Nodes<'_>) {
        let by_row = alike(&self.rows, nodes);
        if !both_ways {
            let by_column = alike(&turned(&self.rows), nodes);
            if by_column.len() < by_row.len() {
                by_column.into_iter().for_each(|(to, from)| self.take(from, to, both_ways, nodes));
                return;
            }
        }
        for (from, to) in by_row {
            // What was taken the other way is gone from some of them.
            let mut now: BTreeMap<Bits, Bits> = BTreeMap::new();
            for node in from.iter() {
                let row =
                    self.rows.get(&node).map_or_else(Bits::default, |row| row.intersection(&to));
                let row = if row.is_empty() { row } else { filled(row, node, &to, nodes) };
                now.entry(row).or_default().insert(node);
            }
            for (to, from) in now.into_iter().filter(|(to, _)| !to.is_empty()) {
                self.take(from, to, both_ways, nodes);
            }
        }
    }
}

/// A row, with the node itself if that makes it the whole.
fn filled(row: Bits, node: u32, whole: &Bits, nodes: &Nodes<'_>) -> Bits {
    let with = with_itself(&row, node, nodes);
    if with == *whole { with } else { row }
}

/// Nodes with equal rows and that row, the largest block first.
fn alike(rows: &Rows, nodes: &Nodes<'_>) -> Vec<(Bits, Bits)> {
    // Whether a node is in its own row means nothing: as it is in most rows.
    let mut count: HashMap<Bits, usize> = HashMap::new();
    for (node, row) in rows {
        *count.entry(row.clone()).or_default() += 1;
        if nodes.are_one(*node, *node) {
            *count.entry(with_itself(row, *node, nodes)).or_default() += 1;
        }
    }
    let mut of_row: BTreeMap<Bits, Bits> = BTreeMap::new();
    for (node, row) in rows {
        let with = with_itself(row, *node, nodes);
        let row = if count[&with] > count[row] { with } else { row.clone() };
        of_row.entry(row).or_default().insert(*node);
    }
    let mut blocks: Vec<(Bits, Bits)> =
        of_row.into_iter().map(|(row, nodes)| (nodes, row)).collect();
    blocks.sort_by_cached_key(|(from, to)| Reverse(from.len() * to.len()));
    blocks
}
