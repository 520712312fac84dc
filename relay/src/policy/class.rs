//! Classes of leaves, and the matrix that says which class lists which.

use std::collections::HashMap;

use relay_common::{
    cell::{DESTINATION_LISTS, SOURCE_LISTS},
    leaf::Special,
};

use super::space::{Group, Owner, Space};

/// Leaves of one class have owners with equal lists, and are on the same lists.
pub(super) struct Classes {
    /// Class of each cut that needs one: those of peers, and listed ones without an owner.
    pub of_cut: Vec<Option<u32>>,
    /// For each class as source, its cells: the column of the destination's class, and the bits.
    pub rows: Vec<Vec<(u32, u32)>>,
}

/// More cells than a generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyCells(pub u64);

impl Classes {
    /// Column of a class. Column 0 is empty: leaves without a class point to it.
    pub(super) const fn column(class: u32) -> u32 {
        class + 1
    }

    /// Finds the classes, with at most `most` cells. `unowned`: leaves without an owner need one.
    pub(super) fn find(space: &Space, unowned: bool, most: u64) -> Result<Self, TooManyCells> {
        let mut numbers: HashMap<(Option<Group>, usize), u32> = HashMap::new();
        let mut keys: Vec<(Option<Group>, usize)> = Vec::new();
        let mut number = |key| {
            *numbers.entry(key).or_insert_with(|| {
                keys.push(key);
                u32::try_from(keys.len() - 1).expect("fewer classes than prefixes")
            })
        };
        let of_cut = space
            .cuts
            .iter()
            .map(|cut| match cut.owner {
                Owner::Peer(peer) => Some(number((Some(space.groups[peer]), cut.set))),
                Owner::Nobody if unowned && cut.set != 0 => Some(number((None, cut.set))),
                Owner::Special(Special::Host) if cut.set != 0 => Some(number((None, cut.set))),
                Owner::Nobody | Owner::Special(_) => None,
            })
            .collect();

        let mut of_group: HashMap<Group, Vec<u32>> = HashMap::new();
        for (class, (group, _)) in (0..).zip(&keys) {
            if let Some(group) = group {
                of_group.entry(*group).or_default().push(class);
            }
        }
        let listing = |class: usize| {
            space.sets[keys[class].1].iter().flat_map(|group| of_group.get(group)).flatten()
        };
        let cells: u64 = (0..keys.len()).map(|class| listing(class).count() as u64 * 2).sum();
        if cells > most {
            return Err(TooManyCells(cells));
        }

        let mut rows: Vec<Vec<(u32, u32)>> = vec![Vec::new(); keys.len()];
        for (listed, class) in (0..).zip(0..keys.len()) {
            for &lister in listing(class) {
                rows[lister as usize].push((Self::column(listed), SOURCE_LISTS));
                rows[class].push((Self::column(lister), DESTINATION_LISTS));
            }
        }
        for row in &mut rows {
            row.sort_unstable();
            row.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 |= later.1;
                }
                same
            });
        }
        Ok(Self { of_cut, rows })
    }
}
