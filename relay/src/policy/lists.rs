//! How much of what one peer owns another peer's list holds.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::{
    Sources,
    space::{Cut, Group, Owner, Space},
};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// How much of what a peer owns in one family a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// The peer owns nothing of that family.
    Absent,
    /// Nothing of it.
    None,
    /// Some of it.
    Part,
    /// All of it.
    Whole,
}

/// What the lists of all peers hold of each other. Peers of which the same is true are one kind, by
/// its number, so that a site of thousands with one list is small.
#[derive(Debug, Clone)]
pub struct Lists {
    kind_of: Vec<usize>,
    kinds: Vec<Kind>,
}

/// What is the same of all peers of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Kind {
    /// Whose list it is.
    group: Group,
    /// Of each family, what is owned.
    owned: [Owned; 2],
}

/// Leaves of one owner and family.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Owned {
    leaves: usize,
    /// How many of them each group lists.
    listed: BTreeMap<Group, usize>,
}

impl Family {
    /// Both, in the order in which they are told.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

impl Lists {
    /// The lists of all peers.
    pub fn of(sources: &Sources<'_>) -> Self {
        let space = Space::cut(sources);
        let empty = empty(&space.cuts);
        let mut owned = vec![<[Owned; 2]>::default(); space.groups.len()];
        for (cut, _) in space.cuts.iter().zip(&empty).filter(|(_, is_empty)| !**is_empty) {
            let Owner::Peer(peer) = cut.owner else { continue };
            let owned = &mut owned[peer][Family::of(&cut.prefix) as usize];
            owned.leaves += 1;
            for group in &space.sets[cut.set] {
                *owned.listed.entry(*group).or_default() += 1;
            }
        }
        let mut numbers = HashMap::new();
        let mut kinds = Vec::new();
        let kind_of = space
            .groups
            .iter()
            .zip(owned)
            .map(|(&group, owned)| {
                *numbers.entry(Kind { group, owned }).or_insert_with_key(|kind| {
                    kinds.push(kind.clone());
                    kinds.len() - 1
                })
            })
            .collect();
        Self { kind_of, kinds }
    }

    /// The kind of each peer, in the order of the configuration.
    pub fn kinds(&self) -> &[usize] {
        &self.kind_of
    }

    /// How much of what peers of the kind `of` own in that family the lists of the kind `by` hold.
    pub fn cover(&self, by: usize, of: usize, family: Family) -> Cover {
        let Owned { leaves, listed } = &self.kinds[of].owned[family as usize];
        match (leaves, listed.get(&self.kinds[by].group)) {
            (0, _) => Cover::Absent,
            (_, None) => Cover::None,
            (leaves, Some(listed)) if listed == leaves => Cover::Whole,
            (_, Some(_)) => Cover::Part,
        }
    }

    /// Every pair of kinds of which the first lists something of the second, each once.
    pub fn listing(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut of_group: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
        for (number, kind) in self.kinds.iter().enumerate() {
            of_group.entry(kind.group).or_default().push(number);
        }
        self.kinds.iter().enumerate().flat_map(move |(of, kind)| {
            let mut groups: Vec<Group> =
                kind.owned.iter().flat_map(|owned| owned.listed.keys().copied()).collect();
            groups.sort_unstable();
            groups.dedup();
            let by = groups.iter().filter_map(|group| of_group.get(group)).flatten();
            by.map(|&by| (by, of)).collect::<Vec<_>>()
        })
    }
}

/// Whether each leaf has no address: longer prefixes inside it take all of it.
fn empty(cuts: &[Cut]) -> Vec<bool> {
    // 2^128 addresses are 0 here, and so is what is left of a prefix that is all taken.
    let size = |prefix: &IpNet| {
        1u128.checked_shl(u32::from(prefix.max_prefix_len() - prefix.prefix_len())).unwrap_or(0)
    };
    let mut left: Vec<u128> = cuts.iter().map(|cut| size(&cut.prefix)).collect();
    let mut has_inside = vec![false; cuts.len()];
    let mut around: Vec<usize> = Vec::new();
    for (at, cut) in cuts.iter().enumerate() {
        while around.last().is_some_and(|&outer| !cuts[outer].prefix.contains(&cut.prefix)) {
            around.pop();
        }
        if let Some(&outer) = around.last() {
            left[outer] = left[outer].wrapping_sub(size(&cut.prefix));
            has_inside[outer] = true;
        }
        around.push(at);
    }
    left.iter().zip(has_inside).map(|(&left, has_inside)| has_inside && left == 0).collect()
}
