//! How much of one peer's addresses another peer's list covers.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::{
    sources::Sources,
    space::{Group, Owner, Space, empty},
};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// How much of a peer's addresses in one family a list covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// The peer owns nothing in that family.
    Absent,
    /// Nothing.
    None,
    /// Some.
    Part,
    /// All.
    Whole,
}

/// How the lists of all peers cover each other. Peers that cannot be told apart are one kind, so that
/// thousands of peers with one list are small.
#[derive(Debug, Clone)]
pub struct Lists {
    kind_of: Vec<usize>,
    kinds: Vec<Kind>,
}

/// What all peers of a kind have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Kind {
    /// The group of its list.
    group: Group,
    /// What is owned, by family.
    owned: [Owned; 2],
}

/// The leaves of one owner in one family.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Owned {
    leaves: usize,
    /// How many of them each group lists.
    listed: BTreeMap<Group, usize>,
}

impl Family {
    /// In the order of the output.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

impl Lists {
    /// Of all peers.
    pub fn of(sources: &Sources<'_>) -> Self {
        let space = Space::cut(sources);
        let prefixes: Vec<IpNet> = space.cuts.iter().map(|cut| cut.prefix).collect();
        let empty = empty(&prefixes);
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

    /// How much of the addresses of kind `of` in that family the lists of kind `by` cover.
    pub fn cover(&self, by: usize, of: usize, family: Family) -> Cover {
        let Owned { leaves, listed } = &self.kinds[of].owned[family as usize];
        match (leaves, listed.get(&self.kinds[by].group)) {
            (0, _) => Cover::Absent,
            (_, None) => Cover::None,
            (leaves, Some(listed)) if listed == leaves => Cover::Whole,
            (_, Some(_)) => Cover::Part,
        }
    }

    /// Every pair of kinds in which the first lists something of the second, once.
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
