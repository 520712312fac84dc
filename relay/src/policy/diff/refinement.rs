use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;
use relay_common::leaf::Special;

use super::interned::Interned;
use crate::{
    model::PeerName,
    policy::{
        lists::Family,
        sources::Sources,
        space::{Group, Owner, Space, empty},
    },
};

/// The address space, cut at every prefix of two policies, with what each of them says about each
/// leaf. Leaves about which both say the same are one class.
#[derive(Debug)]
pub(super) struct Refinement<'a> {
    pub policies: [Policy<'a>; 2],
    pub classes: Interned<Class>,
    /// Everybody with addresses, peers by name.
    pub parties: BTreeMap<Party<'a>, Leaves>,
}

/// One of the policies.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    pub sources: Sources<'a>,
    pub space: Space,
}

/// The leaves of a party, by class.
pub(super) type Leaves = BTreeMap<u32, Vec<Area>>;

/// Addresses of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Area {
    /// Their prefix. Longer ones in it may belong to others.
    pub prefix: IpNet,
    /// Whether something else is said about a longer prefix of the same owner in it.
    pub is_rest: bool,
}

/// Whose addresses they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Party<'a> {
    Peer(&'a PeerName),
    /// The relay and its host.
    Host,
    /// Nobody: beyond the overlay. One party for each two keys.
    Outside([Option<Key>; 2]),
}

/// Leaves of one class pass and drop the same in both policies, as source and as destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Class {
    /// What each policy says; none if nothing passes.
    pub keys: [Option<Key>; 2],
    /// Families of the addresses that a party has in it.
    pub families: [bool; 2],
}

/// What a policy says about addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// Of an enabled peer.
    Peer {
        /// The group of its list.
        group: Group,
        /// Groups that list them, by the number in [`Space::sets`].
        listed: usize,
        /// Sides of rules that hold them, by the number in [`Space::sides`].
        sides: usize,
    },
    /// Of the relay or its host.
    Host,
    /// Of nobody.
    Outside {
        /// Groups that list them.
        listed: usize,
    },
}

/// What both policies say about a leaf of a party.
struct Spoken<'a> {
    party: Party<'a>,
    keys: [Option<Key>; 2],
    area: Area,
}

/// Where a leaf lies in one policy: the index of its cut.
type Spot = Option<usize>;

impl<'a> Refinement<'a> {
    pub(super) fn of(before: Sources<'a>, after: Sources<'a>) -> Self {
        let policies = [Policy::of(before), Policy::of(after)];
        let mut spoken: Vec<Spoken<'a>> = Vec::new();
        let mut around: Vec<usize> = Vec::new();
        for (prefix, spots) in leaves(&policies) {
            while around.last().is_some_and(|&at| !spoken[at].area.prefix.contains(&prefix)) {
                around.pop();
            }
            let outer = around.clone();
            let [one, two] = [0, 1].map(|at| policies[at].meaning(spots[at]));
            let said = match one.0 == two.0 {
                true => vec![(one.0, [one.1, two.1])],
                false => vec![(one.0, [one.1, None]), (two.0, [None, two.1])],
            };
            for (party, keys) in said {
                let Some(party) = party.filter(|_| keys != [None, None]) else { continue };
                let is_apart = |at: &&usize| {
                    let outer = &spoken[**at];
                    outer.party == party && outer.keys != keys
                };
                let apart: Vec<usize> = outer.iter().filter(is_apart).copied().collect();
                apart.into_iter().for_each(|at| spoken[at].area.is_rest = true);
                around.push(spoken.len());
                spoken.push(Spoken { party, keys, area: Area { prefix, is_rest: false } });
            }
        }
        let mut found: BTreeMap<Party<'a>, BTreeMap<[Option<Key>; 2], Vec<Area>>> = BTreeMap::new();
        for Spoken { party, keys, area } in spoken {
            let party = match party {
                Party::Outside(_) => Party::Outside(keys),
                Party::Peer(_) | Party::Host => party,
            };
            found.entry(party).or_default().entry(keys).or_default().push(area);
        }
        let mut classes = Interned::new();
        let classed = found.into_iter().map(|(party, of_keys)| {
            let leaves = of_keys.into_iter().map(|(keys, leaves)| {
                let has =
                    |family| leaves.iter().any(|leaf: &Area| Family::of(&leaf.prefix) == family);
                (classes.number(Class { keys, families: Family::ALL.map(has) }), leaves)
            });
            (party, leaves.collect())
        });
        let parties = classed.collect();
        Self { policies, classes, parties }
    }
}

impl<'a> Policy<'a> {
    pub(super) fn of(sources: Sources<'a>) -> Self {
        Self { sources, space: Space::cut(&sources) }
    }

    /// Whose a leaf is, and what the policy says about it.
    fn meaning(&self, spot: Spot) -> (Option<Party<'a>>, Option<Key>) {
        let Some(cut) = spot.map(|cut| &self.space.cuts[cut]) else { return (None, None) };
        match cut.owner {
            Owner::Peer(place) => {
                let peer = &self.sources.relay.peers[place];
                let key = peer.enabled.then(|| Key::Peer {
                    group: self.space.groups[place],
                    listed: cut.set,
                    sides: cut.sides,
                });
                (Some(Party::Peer(&peer.name)), key)
            }
            Owner::Special(Special::Host) => (Some(Party::Host), Some(Key::Host)),
            Owner::Nobody if cut.set != 0 => {
                (Some(Party::Outside([None; 2])), Some(Key::Outside { listed: cut.set }))
            }
            Owner::Nobody | Owner::Special(_) => (None, None),
        }
    }
}

/// Every leaf of both policies that has addresses, and where it lies in each.
pub(super) fn leaves(policies: &[Policy<'_>; 2]) -> Vec<(IpNet, [Spot; 2])> {
    let mut prefixes: BTreeSet<IpNet> = BTreeSet::new();
    for policy in policies {
        prefixes.extend(policy.space.cuts.iter().map(|cut| cut.prefix));
    }
    let cuts = [0, 1].map(|at: usize| {
        let cuts = policies[at].space.cuts.iter().enumerate();
        cuts.map(|(number, cut)| (cut.prefix, number)).collect::<HashMap<_, _>>()
    });
    let prefixes: Vec<IpNet> = prefixes.into_iter().collect();
    let mut around: Vec<usize> = Vec::new();
    let mut leaves: Vec<(IpNet, [Spot; 2])> = Vec::with_capacity(prefixes.len());
    for &prefix in &prefixes {
        while around.last().is_some_and(|&outer| !prefixes[outer].contains(&prefix)) {
            around.pop();
        }
        let outer = around.last().map(|&outer| leaves[outer].1);
        let spots = [0, 1].map(|at: usize| {
            cuts[at].get(&prefix).copied().or_else(|| outer.and_then(|spots: [Spot; 2]| spots[at]))
        });
        around.push(leaves.len());
        leaves.push((prefix, spots));
    }
    let is_empty = empty(&prefixes);
    leaves
        .into_iter()
        .zip(is_empty)
        .filter(|(_, is_empty)| !is_empty)
        .map(|(leaf, _)| leaf)
        .collect()
}
