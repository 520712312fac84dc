use std::collections::{BTreeMap, HashMap};

use super::{
    bits::Bits,
    refinement::{Class, Party, Refinement},
    relation::Rows,
};
use crate::policy::lists::Family;

/// What a line of the difference names: parties that cannot be told apart, or their addresses of one
/// class.
#[derive(Debug)]
pub(super) struct Nodes<'a> {
    nodes: Vec<Node>,
    kinds: Vec<Kind<'a>>,
    /// Kinds with addresses in a class.
    of_class: Vec<Vec<u32>>,
    /// Nodes of one class, by kind and class.
    parts: HashMap<(u32, u32), u32>,
}

/// Parties with addresses in the same classes.
#[derive(Debug)]
struct Kind<'a> {
    parties: Vec<Party<'a>>,
    classes: Vec<u32>,
}

/// A kind, or its part in a class. Whole kinds come first, by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub kind: u32,
    pub part: Option<u32>,
}

/// Between which nodes something changes, in both families or in one, where the other differs.
pub(super) type ByFamily = BTreeMap<Option<Family>, BTreeMap<u32, Bits>>;

impl<'a> Nodes<'a> {
    pub(super) fn of(refinement: &Refinement<'a>) -> Self {
        let mut numbers: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut kinds: Vec<Kind<'a>> = Vec::new();
        for (&party, leaves) in &refinement.parties {
            let classes: Vec<u32> = leaves.keys().copied().collect();
            let number = *numbers.entry(classes).or_insert_with_key(|classes| {
                kinds.push(Kind { parties: Vec::new(), classes: classes.clone() });
                kinds.len() - 1
            });
            kinds[number].parties.push(party);
        }
        let mut of_class = vec![Vec::new(); refinement.classes.values().len()];
        let mut nodes = Vec::new();
        for (number, kind) in (0..).zip(&kinds) {
            nodes.push(Node { kind: number, part: None });
            for &class in &kind.classes {
                of_class[class as usize].push(number);
            }
        }
        Self { nodes, kinds, of_class, parts: HashMap::new() }
    }

    /// Parties of a node.
    pub(super) fn parties(&self, node: u32) -> &[Party<'a>] {
        &self.kinds[self.nodes[node as usize].kind as usize].parties
    }

    pub(super) fn get(&self, node: u32) -> Node {
        self.nodes[node as usize]
    }

    /// Whole kinds.
    pub(super) fn whole(&self) -> impl Iterator<Item = u32> + use<> {
        (0..).take(self.kinds.len())
    }

    /// Whether both nodes are of one party, which exchanges nothing with itself.
    pub(super) fn are_one(&self, one: u32, other: u32) -> bool {
        self.get(one).kind == self.get(other).kind && self.parties(one).len() == 1
    }

    /// Number of pairs of parties in a relation.
    pub(super) fn pairs(&self, rows: &BTreeMap<u32, Bits>) -> usize {
        let pairs = rows.iter().flat_map(|(&from, row)| {
            row.iter().map(move |to| {
                let (some, others) = (self.parties(from).len(), self.parties(to).len());
                let is_same_kind = self.get(from).kind == self.get(to).kind;
                some * if is_same_kind { others - 1 } else { others }
            })
        });
        pairs.sum()
    }

    /// Lifts what changes between classes to nodes.
    pub(super) fn lifted(&mut self, rows: &Rows, classes: &[Class]) -> ByFamily {
        let rows: HashMap<u32, &Bits> = rows.iter().map(|(source, row)| (*source, row)).collect();
        let mut sources: Vec<u32> =
            rows.keys().flat_map(|class| &self.of_class[*class as usize]).copied().collect();
        sources.sort_unstable();
        sources.dedup();
        let mut lifted = ByFamily::new();
        for source in sources {
            let mut whole = Bits::default();
            let mut mixed = Bits::default();
            let from = self.kinds[source as usize].classes.clone();
            for row in from.iter().filter_map(|class| rows.get(class)) {
                for &kind in row.iter().flat_map(|class| &self.of_class[class as usize]) {
                    let is_simple = from.len() == 1 && self.kinds[kind as usize].classes.len() == 1;
                    let kinds = if is_simple { &mut whole } else { &mut mixed };
                    kinds.insert(kind);
                }
            }
            for kind in mixed.iter() {
                self.cover(&rows, classes, (source, kind), &mut lifted);
            }
            let is_pair = |kind: &u32| !self.are_one(source, *kind);
            let whole: Vec<u32> = whole.iter().filter(is_pair).collect();
            whole.into_iter().for_each(|kind| put(&mut lifted, None, source, kind));
        }
        lifted
    }

    /// Adds what changes between two kinds of which one has several classes: between both as a whole,
    /// else by family, else by class.
    fn cover(
        &mut self,
        rows: &HashMap<u32, &Bits>,
        classes: &[Class],
        (from, to): (u32, u32),
        lifted: &mut ByFamily,
    ) {
        if self.are_one(from, to) {
            return;
        }
        let in_family =
            |class: u32, family: Family| classes[class as usize].families[family as usize];
        let (sources, destinations) =
            (self.kinds[from as usize].classes.clone(), self.kinds[to as usize].classes.clone());
        let all: Vec<Meeting> = sources
            .iter()
            .flat_map(|&source| destinations.iter().map(move |&destination| (source, destination)))
            .map(|(source, destination)| Meeting {
                source,
                destination,
                families: Family::ALL
                    .map(|family| in_family(source, family) && in_family(destination, family)),
                changes: rows.get(&source).is_some_and(|row| row.contains(destination)),
            })
            .filter(|meeting| meeting.families != [false, false])
            .collect();
        if all.iter().all(|meeting| meeting.changes) {
            return put(lifted, None, from, to);
        }
        let is_whole = Family::ALL.map(|family| {
            let mut of_family = all.iter().filter(|meeting| meeting.families[family as usize]);
            of_family.clone().next().is_some() && of_family.all(|meeting| meeting.changes)
        });
        for family in Family::ALL.into_iter().filter(|family| is_whole[*family as usize]) {
            put(lifted, Some(family), from, to);
        }
        let is_left = |meeting: &&Meeting| {
            let mut families = meeting.families.iter().zip(is_whole);
            families.any(|(&meets, is_whole)| meets && !is_whole)
        };
        for meeting in all.iter().filter(is_left).filter(|meeting| meeting.changes) {
            let everywhere = |same: fn(&Meeting) -> u32| {
                let mut others = all.iter().filter(|other| same(other) == same(meeting));
                others.all(|other| other.changes)
            };
            let (from, to) = match (everywhere(|m| m.source), everywhere(|m| m.destination)) {
                (true, _) => (self.part(from, meeting.source), to),
                (false, true) => (from, self.part(to, meeting.destination)),
                (false, false) => {
                    (self.part(from, meeting.source), self.part(to, meeting.destination))
                }
            };
            put(lifted, None, from, to);
        }
    }

    /// The node of a kind's addresses in a class.
    fn part(&mut self, kind: u32, class: u32) -> u32 {
        if self.kinds[kind as usize].classes.len() == 1 {
            return kind;
        }
        let next = u32::try_from(self.nodes.len()).expect("fewer nodes than leaves");
        *self.parts.entry((kind, class)).or_insert_with(|| {
            self.nodes.push(Node { kind, part: Some(class) });
            next
        })
    }
}

/// A class of each kind, with a family in common.
struct Meeting {
    source: u32,
    destination: u32,
    families: [bool; 2],
    changes: bool,
}

fn put(lifted: &mut ByFamily, family: Option<Family>, from: u32, to: u32) {
    lifted.entry(family).or_default().entry(from).or_default().insert(to);
}
