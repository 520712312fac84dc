//! The address space, cut into leaves at every prefix in use.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;
use relay_common::leaf::Special;

use super::{
    sets::Sets,
    sides::{Side, Sides},
    sources::Sources,
    special::specials,
};
use crate::model::host_prefix;

/// Number of a group: peers with equal `allowed_ips`.
pub(super) type Group = u32;

/// The owner of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A peer, by its index.
    Peer(usize),
    /// No peer, whatever the lists say.
    Special(Special),
    /// Nobody.
    Nobody,
}

/// A leaf: the addresses of a prefix without those of longer prefixes in use.
#[derive(Debug)]
pub(super) struct Cut {
    pub prefix: IpNet,
    pub owner: Owner,
    /// Groups that list it: index into [`Space::sets`].
    pub set: usize,
    /// Sides of rules that it is on: index into [`Space::sides`].
    pub sides: usize,
}

/// All leaves, by address, shorter prefixes first.
#[derive(Debug)]
pub(super) struct Space {
    pub cuts: Vec<Cut>,
    /// Sets of groups, each sorted. The first is empty.
    pub sets: Vec<Vec<Group>>,
    /// Group of each peer.
    pub groups: Vec<Group>,
    /// Sets of sides of rules, each sorted. The first is empty.
    pub sides: Vec<Vec<Side>>,
}

/// What is set at a prefix itself, not inherited.
#[derive(Default)]
struct Mark {
    owner: Option<Owner>,
    groups: Vec<Group>,
    is_host: bool,
}

impl Space {
    /// Cuts at addresses, routes, `allowed_ips`, the overlay, special networks, and those addresses
    /// of the host that something else in the policy contains. Its other addresses need no leaf:
    /// the programs ask the host's routing about addresses that nobody owns.
    pub(super) fn cut(sources: &Sources<'_>) -> Self {
        let (groups, lists) = group(sources);
        let mut sides = Sides::of(sources.relay);
        let mut marks: BTreeMap<IpNet, Mark> = BTreeMap::new();
        for (index, peer) in sources.relay.peers.iter().enumerate() {
            for prefix in peer.owned() {
                marks.entry(prefix).or_default().owner = Some(Owner::Peer(index));
            }
        }
        for (prefix, special) in specials(sources.relay) {
            marks.entry(prefix).or_default().owner = Some(Owner::Special(special));
        }
        for &address in sources.host_addresses {
            marks.entry(host_prefix(address)).or_default().is_host = true;
        }
        let overlays: Vec<IpNet> = sources.relay.addresses.iter().map(IpNet::trunc).collect();
        for &overlay in &overlays {
            marks.entry(overlay).or_default();
        }
        for (group, list) in (0..).zip(&lists) {
            for &prefix in list {
                marks.entry(prefix).or_default().groups.push(group);
            }
        }

        for prefix in sides.prefixes() {
            marks.entry(prefix).or_default();
        }

        let mut sets = Sets::new();
        let mut cuts: Vec<Cut> = Vec::with_capacity(marks.len());
        let mut ancestors: Vec<(usize, usize)> = Vec::new();
        for (prefix, mark) in marks {
            while ancestors.last().is_some_and(|&(at, _)| !cuts[at].prefix.contains(&prefix)) {
                ancestors.pop();
            }
            let parent = ancestors.last().map(|&(at, _)| &cuts[at]);
            let around = ancestors.last().map_or(0, |&(_, named)| named);
            let named = sides.named_by(&prefix, around);
            let inherited = parent.map_or(Owner::Nobody, |cut| cut.owner);
            let owner = match mark.owner.unwrap_or(inherited) {
                Owner::Nobody if overlays.iter().any(|overlay| overlay.contains(&prefix)) => {
                    Owner::Special(Special::Vacant)
                }
                owner @ (Owner::Peer(_) | Owner::Special(_) | Owner::Nobody) => owner,
            };
            let owner = match owner {
                Owner::Nobody if mark.is_host && mark.groups.is_empty() => continue,
                Owner::Peer(_) | Owner::Special(_) if mark.is_host => Owner::Special(Special::Host),
                owner @ (Owner::Peer(_) | Owner::Special(_) | Owner::Nobody) => owner,
            };
            let set = sets.with(parent.map_or(0, |cut| cut.set), &mark.groups);
            let sides = match owner {
                Owner::Peer(peer) => sides.of_owner(peer, named),
                Owner::Special(_) | Owner::Nobody => 0,
            };
            ancestors.push((cuts.len(), named));
            cuts.push(Cut { prefix, owner, set, sides });
        }
        Self { cuts, sets: sets.into_vec(), groups, sides: sides.into_sets() }
    }
}

/// Whether each leaf is empty: longer prefixes inside it take all of its addresses. The prefixes are
/// in the order of [`Space::cuts`].
pub(super) fn empty(prefixes: &[IpNet]) -> Vec<bool> {
    // 2^128 wraps to 0, and so does what is left of an empty leaf.
    let size = |prefix: &IpNet| {
        1u128.checked_shl(u32::from(prefix.max_prefix_len() - prefix.prefix_len())).unwrap_or(0)
    };
    let mut left: Vec<u128> = prefixes.iter().map(size).collect();
    let mut has_inside = vec![false; prefixes.len()];
    let mut around: Vec<usize> = Vec::new();
    for (at, prefix) in prefixes.iter().enumerate() {
        while around.last().is_some_and(|&outer| !prefixes[outer].contains(prefix)) {
            around.pop();
        }
        if let Some(&outer) = around.last() {
            left[outer] = left[outer].wrapping_sub(size(prefix));
            has_inside[outer] = true;
        }
        around.push(at);
    }
    left.iter().zip(has_inside).map(|(&left, has_inside)| has_inside && left == 0).collect()
}

/// The group of each peer, and the aggregated list of each group.
fn group(sources: &Sources<'_>) -> (Vec<Group>, Vec<Vec<IpNet>>) {
    let mut numbers: HashMap<Vec<IpNet>, Group> = HashMap::new();
    let mut lists = Vec::new();
    let groups = sources.relay.peers.iter().map(|peer| {
        let mut list = match peer.may_reach() {
            [one] => vec![one.trunc()],
            several => IpNet::aggregate(&several.to_vec()),
        };
        list.sort_unstable();
        *numbers.entry(list).or_insert_with_key(|list| {
            lists.push(list.clone());
            Group::try_from(lists.len() - 1).expect("fewer groups than peers, of which 2^20 fit")
        })
    });
    (groups.collect(), lists)
}
