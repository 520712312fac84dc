//! Classes of leaves, and the matrix that says which class lists which, and where rules decide.

use std::collections::HashMap;

use relay_common::{
    cell::{DESTINATION_LISTS, LIMITED, RULED, SOURCE_LISTS},
    leaf::Special,
    rules::Directions,
};

use super::{
    sides::{End, rule_of},
    space::{Group, Owner, Space},
};
use crate::model::{Egress, Peer, Relay, Rule};

/// Leaves of one class have owners with equal lists, whose traffic is limited in the same directions;
/// they are on the same lists, and on the same sides of rules.
pub(super) struct Classes {
    /// Class of each cut that needs one: those of enabled peers, and listed ones without an owner.
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
    /// Whether what comes from the owner is limited, and what goes to it.
    limited: [bool; 2],
}

impl Classes {
    /// Column of a class. Column 0 is empty: leaves without a class point to it.
    pub(super) const fn column(class: u32) -> u32 {
        class + 1
    }

    /// The class of a column other than 0.
    const fn class(column: u32) -> u32 {
        column - 1
    }

    /// Finds the classes, with at most `most` cells.
    pub(super) fn find(space: &Space, relay: &Relay, most: u64) -> Result<Self, TooMany> {
        let rules = &relay.rules;
        let unowned = relay.egress == Egress::Stack;
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
                let limited = |peer: &Peer| [peer.limits.has_from(), peer.limits.has_to()];
                let kind = |group, limited| Kind { group, set: cut.set, sides: cut.sides, limited };
                match cut.owner {
                    Owner::Peer(place) if relay.peers[place].enabled => {
                        let limited = limited(&relay.peers[place]);
                        Some(number(kind(Some(space.groups[place]), limited)))
                    }
                    Owner::Nobody if unowned && cut.set != 0 => {
                        Some(number(kind(None, [false; 2])))
                    }
                    Owner::Special(Special::Host) if cut.set != 0 => {
                        Some(number(kind(None, [false; 2])))
                    }
                    Owner::Peer(_) | Owner::Nobody | Owner::Special(_) => None,
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
        let ruled = Ruled::of(kinds.len(), rules, &on_sides)?;
        let backward = transposed(&ruled.rows);
        let mut numbers = HashMap::from([(Directions::default(), 0)]);
        let mut directions = vec![Directions::default()];
        let mut joined = Vec::with_capacity(rows.len());
        for (((lists, forward), backward), source) in
            rows.iter().zip(&ruled.rows).zip(&backward).zip(&kinds)
        {
            let limit = |column: u32| {
                let destination = kinds[Self::class(column) as usize];
                if source.limited[0] || destination.limited[1] { LIMITED } else { 0 }
            };
            let cells = join(lists, forward, backward).into_iter().map(|(column, bits, both)| {
                let lists = bits & !RULED;
                if lists == SOURCE_LISTS | DESTINATION_LISTS {
                    return (column, lists | limit(column), 0);
                }
                if bits == lists {
                    return (column, lists, 0);
                }
                let bits = bits | limit(column);
                let number = *numbers.entry(both).or_insert_with(|| {
                    directions.push(both);
                    directions.len() - 1
                });
                (column, bits, number)
            });
            joined.push(cells.collect());
        }
        Ok(Self { of_cut, rows: joined, directions, rule_sets: ruled.sets })
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

/// What each class may begin with each other one.
struct Ruled {
    /// For each class the others and the numbers of the rule sets, ascending.
    rows: Vec<Vec<(u32, u16)>>,
    /// Rule sets: places in the configuration, ascending. The first is empty.
    sets: Vec<Vec<u32>>,
}

impl Ruled {
    fn of(classes: usize, rules: &[Rule], on_sides: &[[Vec<u32>; 2]]) -> Result<Self, TooMany> {
        // The rules by which each class may begin something, and the side of those with whom.
        let mut begins: Vec<Vec<(u32, End)>> = vec![Vec::new(); classes];
        for ((place, rule), [from, to]) in (0..).zip(rules).zip(on_sides) {
            from.iter().for_each(|&one| begins[one as usize].push((place, End::To)));
            if rule.both_ways {
                to.iter().for_each(|&one| begins[one as usize].push((place, End::From)));
            }
        }
        let mut numbers: HashMap<Vec<u32>, u16> = HashMap::from([(Vec::new(), 0)]);
        let mut sets = vec![Vec::new()];
        let mut rows = Vec::with_capacity(classes);
        let mut of_other = Vec::new();
        for begins in begins {
            let pairs = begins.iter().flat_map(|&(place, end)| {
                on_sides[place as usize][end as usize].iter().map(move |&other| (other, place))
            });
            let mut pairs: Vec<(u32, u32)> = pairs.collect();
            pairs.sort_unstable();
            pairs.dedup();
            let mut row = Vec::new();
            for pairs in pairs.chunk_by(|one, next| one.0 == next.0) {
                of_other.clear();
                of_other.extend(pairs.iter().map(|&(_, place)| place));
                let number = match numbers.get(&of_other) {
                    Some(&number) => number,
                    None => {
                        let number = u16::try_from(sets.len())
                            .map_err(|_above| TooMany::RuleSets(sets.len() + 1))?;
                        numbers.insert(of_other.clone(), number);
                        sets.push(of_other.clone());
                        number
                    }
                };
                row.push((pairs[0].0, number));
            }
            rows.push(row);
        }
        Ok(Self { rows, sets })
    }
}

/// What each other class may begin with each one.
fn transposed(rows: &[Vec<(u32, u16)>]) -> Vec<Vec<(u32, u16)>> {
    let mut transposed = vec![Vec::new(); rows.len()];
    for (class, row) in (0..).zip(rows) {
        for &(other, number) in row {
            transposed[other as usize].push((class, number));
        }
    }
    transposed
}

/// A row of cells by ascending column: the bits, and the rule sets.
fn join(
    lists: &[(u32, u32)],
    forward: &[(u32, u16)],
    backward: &[(u32, u16)],
) -> Vec<(u32, u32, Directions)> {
    let lists = lists.iter().map(|&(column, bits)| (column, bits, Directions::default()));
    let ruled = |class, directions| (Classes::column(class), RULED, directions);
    let forward = forward
        .iter()
        .map(|&(other, forward)| ruled(other, Directions { forward, ..Directions::default() }));
    let backward = backward
        .iter()
        .map(|&(other, backward)| ruled(other, Directions { backward, ..Directions::default() }));
    let mut row: Vec<_> = lists.chain(forward).chain(backward).collect();
    // Stable: finds the three ascending parts, and merges them.
    row.sort_by_key(|&(column, ..)| column);
    row.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 |= later.1;
            kept.2.forward |= later.2.forward;
            kept.2.backward |= later.2.backward;
        }
        same
    });
    row
}
