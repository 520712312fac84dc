//! Classes of leaves, and the matrix that says which class lists which, and where rules decide.

use std::collections::{BTreeMap, HashMap};

use relay_common::{
    cell::{DESTINATION_LISTS, RULED, SOURCE_LISTS},
    leaf::Special,
    rules::Directions,
};

use super::{
    sides::rule_of,
    space::{Group, Owner, Space},
};
use crate::model::Rule;

/// Leaves of one class have owners with equal lists, are on the same lists, and on the same sides of
/// rules.
pub(super) struct Classes {
    /// Class of each cut that needs one: those of peers, and listed ones without an owner.
    pub of_cut: Vec<Option<u32>>,
    /// For each class as source, its cells: the column of the destination's class, the bits, and the
    /// rule sets: index into `directions`.
    pub rows: Vec<Vec<(u32, u32, usize)>>,
    /// Pairs of rule sets. The first is that of cells that rules do not decide.
    pub directions: Vec<Directions>,
    /// Rule sets: places in the configuration, ascending. The first is empty.
    pub rule_sets: Vec<Vec<u32>>,
}

/// More than a generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    /// Cells.
    Cells(u64),
    /// Different rule sets.
    RuleSets(usize),
}

/// What leaves of a class have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    group: Option<Group>,
    set: usize,
    sides: usize,
}

impl Classes {
    /// Column of a class. Column 0 is empty: leaves without a class point to it.
    pub(super) const fn column(class: u32) -> u32 {
        class + 1
    }

    /// Finds the classes, with at most `most` cells. `unowned`: leaves without an owner need one.
    pub(super) fn find(
        space: &Space,
        rules: &[Rule],
        unowned: bool,
        most: u64,
    ) -> Result<Self, TooMany> {
        let mut numbers: HashMap<Kind, u32> = HashMap::new();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut number = |kind| {
            *numbers.entry(kind).or_insert_with(|| {
                kinds.push(kind);
                u32::try_from(kinds.len() - 1).expect("fewer classes than prefixes")
            })
        };
        let of_cut = space
            .cuts
            .iter()
            .map(|cut| {
                let kind = |group| Kind { group, set: cut.set, sides: cut.sides };
                match cut.owner {
                    Owner::Peer(peer) => Some(number(kind(Some(space.groups[peer])))),
                    Owner::Nobody if unowned && cut.set != 0 => Some(number(kind(None))),
                    Owner::Special(Special::Host) if cut.set != 0 => Some(number(kind(None))),
                    Owner::Nobody | Owner::Special(_) => None,
                }
            })
            .collect();

        let mut of_group: HashMap<Group, Vec<u32>> = HashMap::new();
        for (class, Kind { group, .. }) in (0..).zip(&kinds) {
            if let Some(group) = group {
                of_group.entry(*group).or_default().push(class);
            }
        }
        let listing = |class: usize| {
            space.sets[kinds[class].set].iter().flat_map(|group| of_group.get(group)).flatten()
        };
        let on_sides = on_sides(space, &kinds, rules);
        let listed: u64 = (0..kinds.len()).map(|class| listing(class).count() as u64 * 2).sum();
        let ruled: u64 =
            on_sides.iter().map(|[from, to]| from.len() as u64 * to.len() as u64 * 2).sum();
        if listed + ruled > most {
            return Err(TooMany::Cells(listed + ruled));
        }

        let mut rows: Vec<Vec<(u32, u32)>> = vec![Vec::new(); kinds.len()];
        for (listed, class) in (0..).zip(0..kinds.len()) {
            for &lister in listing(class) {
                rows[lister as usize].push((Self::column(listed), SOURCE_LISTS));
                rows[class].push((Self::column(lister), DESTINATION_LISTS));
            }
        }
        let mut ruled = Ruled::new(kinds.len());
        for ((place, rule), [from, to]) in (0..).zip(rules).zip(&on_sides) {
            for &one in from {
                for &other in to {
                    ruled.begin(one, other, place);
                    if rule.both_ways {
                        ruled.begin(other, one, place);
                    }
                }
            }
        }
        let (ruled_rows, rule_sets) = ruled.sets()?;
        let mut numbers = HashMap::from([(Directions::default(), 0)]);
        let mut directions = vec![Directions::default()];
        let mut joined = Vec::with_capacity(rows.len());
        for (class, mut row) in (0..).zip(rows) {
            let pairs = &ruled_rows[class as usize];
            row.extend(pairs.keys().map(|&other| (Self::column(other), RULED)));
            row.sort_unstable();
            row.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 |= later.1;
                }
                same
            });
            let cells = row.into_iter().map(|(column, bits)| {
                if bits & RULED == 0 {
                    return (column, bits, 0);
                }
                let lists = bits & !RULED;
                if lists == SOURCE_LISTS | DESTINATION_LISTS {
                    return (column, lists, 0);
                }
                let other = column - 1;
                let backward = ruled_rows[other as usize].get(&class).copied().unwrap_or(0);
                let both = Directions { forward: pairs[&other], backward };
                let number = *numbers.entry(both).or_insert_with(|| {
                    directions.push(both);
                    directions.len() - 1
                });
                (column, bits, number)
            });
            joined.push(cells.collect());
        }
        Ok(Self { of_cut, rows: joined, directions, rule_sets })
    }
}

/// The classes on both sides of each rule.
fn on_sides(space: &Space, kinds: &[Kind], rules: &[Rule]) -> Vec<[Vec<u32>; 2]> {
    let mut on_sides = vec![[Vec::new(), Vec::new()]; rules.len()];
    for (class, kind) in (0..).zip(kinds) {
        for &side in &space.sides[kind.sides] {
            let (rule, end) = rule_of(side);
            on_sides[rule][end as usize].push(class);
        }
    }
    on_sides
}

/// The number of the rule set with which a class may begin something with each other one.
type NumberedRow = BTreeMap<u32, u16>;

/// What each class may begin with each other one.
struct Ruled {
    rules: Vec<BTreeMap<u32, Vec<u32>>>,
}

impl Ruled {
    fn new(classes: usize) -> Self {
        Self { rules: vec![BTreeMap::new(); classes] }
    }

    /// Notes that a rule lets `one` begin something with `other`.
    fn begin(&mut self, one: u32, other: u32, rule: u32) {
        let rules = self.rules[one as usize].entry(other).or_default();
        if rules.last() != Some(&rule) {
            rules.push(rule);
        }
        self.rules[other as usize].entry(one).or_default();
    }

    /// The number of the rule set of each pair, and the sets.
    fn sets(self) -> Result<(Vec<NumberedRow>, Vec<Vec<u32>>), TooMany> {
        let mut numbers: HashMap<Vec<u32>, usize> = HashMap::from([(Vec::new(), 0)]);
        let mut sets = vec![Vec::new()];
        let mut rows = Vec::with_capacity(self.rules.len());
        for row in self.rules {
            let mut numbered = BTreeMap::new();
            for (other, rules) in row {
                let number = *numbers.entry(rules).or_insert_with_key(|rules| {
                    sets.push(rules.clone());
                    sets.len() - 1
                });
                let number =
                    u16::try_from(number).map_err(|_above| TooMany::RuleSets(numbers.len()))?;
                numbered.insert(other, number);
            }
            rows.push(numbered);
        }
        Ok((rows, sets))
    }
}
