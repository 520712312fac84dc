use std::{collections::BTreeMap, fmt};

use super::{
    bits::Bits,
    change::Sign,
    nodes::Nodes,
    refinement::{Area, Leaves, Party},
};
use crate::model::{Group, GroupName, PeerName, Relay};

/// Names that are shown of a side beside those of groups.
const SHOWN: usize = 4;

/// One side of a line. As text, groups and a few of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Who is on it.
    pub names: Vec<Name>,
}

/// Who is on a side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Every enabled peer.
    Any,
    /// Every enabled peer of a group.
    Group(GroupName),
    /// A peer.
    Peer(PeerName),
    /// Some addresses of a peer.
    Addresses(PeerName, Vec<Area>),
    /// The relay and its host, or some of their addresses.
    Relay(Vec<Area>),
    /// Addresses that no peer owns, beyond the overlay.
    Beyond(Vec<Area>),
}

/// Names of nodes.
#[derive(Debug)]
pub(super) struct Ends<'a> {
    parties: BTreeMap<Party<'a>, Leaves>,
    /// Every peer, then the groups, of the first policy and of the second.
    groups: [Vec<(Name, Vec<Party<'a>>)>; 2],
    sets: [Vec<Bits>; 2],
}

impl<'a> Ends<'a> {
    pub(super) fn of(
        relays: [&'a Relay; 2],
        nodes: &Nodes<'a>,
        parties: BTreeMap<Party<'a>, Leaves>,
    ) -> Self {
        let groups = relays.map(|relay| {
            let all: Vec<usize> = (0..relay.peers.len()).collect();
            let of_group = |group: &'a Group| (Name::Group(group.name.clone()), &group.members);
            let sets = std::iter::once((Name::Any, &all))
                .chain(relay.groups.iter().map(of_group))
                .map(|(name, members)| {
                    let peers = members.iter().map(|&peer| &relay.peers[peer]);
                    let mut peers: Vec<Party<'a>> = peers
                        .filter(|peer| peer.enabled)
                        .map(|peer| Party::Peer(&peer.name))
                        .collect();
                    peers.sort_unstable();
                    (name, peers)
                });
            // The only two peers are better named.
            let least = |name: &Name| if *name == Name::Any { 3 } else { 2 };
            let mut sets: Vec<_> =
                sets.filter(|(name, peers)| peers.len() >= least(name)).collect();
            // By size, so that the widest name is used.
            sets.sort_by_key(|(_, peers)| std::cmp::Reverse(peers.len()));
            sets
        });
        let sets = [0, 1].map(|policy: usize| {
            let around = |(_, peers): &(Name, Vec<Party<'a>>)| {
                let holds = |node: &u32| {
                    nodes.parties(*node).iter().any(|party| peers.binary_search(party).is_ok())
                };
                nodes.whole().filter(holds).collect()
            };
            groups[policy].iter().map(around).collect()
        });
        Self { parties, groups, sets }
    }

    /// Sets of nodes that have a name in the policy that lets a change of this sign through: all
    /// nodes with a peer of the name.
    pub(super) fn sets(&self, sign: Sign) -> &[Bits] {
        &self.sets[policy(sign)]
    }

    /// Names nodes that are related to others, by groups as far as possible. A party that alone is on
    /// the other side may be on this one too.
    pub(super) fn folded(&self, nodes: &Nodes<'a>, all: &Bits, others: &Bits, sign: Sign) -> End {
        let end = self.named(nodes, all, sign);
        let mut alone = others.iter().filter(|_| others.len() == 1);
        let with = alone.find(|&node| nodes.are_one(node, node)).map(|node| {
            let mut all = all.clone();
            all.insert(node);
            self.named(nodes, &all, sign)
        });
        with.filter(|with| with.names.len() < end.names.len()).unwrap_or(end)
    }

    fn named(&self, nodes: &Nodes<'a>, all: &Bits, sign: Sign) -> End {
        let mut names = Vec::new();
        let mut left: Vec<Party<'a>> = Vec::new();
        for node in all.iter() {
            match nodes.get(node).part {
                None => left.extend(nodes.parties(node)),
                Some(_) => {
                    let of = |party: &Party<'a>| self.name(nodes, node, *party);
                    names.extend(nodes.parties(node).iter().map(of));
                }
            }
        }
        left.sort_unstable();
        let whole = left.clone();
        for (name, peers) in &self.groups[policy(sign)] {
            let is_within = peers.len() <= whole.len()
                && peers.iter().all(|peer| whole.binary_search(peer).is_ok());
            if is_within && peers.iter().any(|peer| left.binary_search(peer).is_ok()) {
                names.push(name.clone());
                left.retain(|party| peers.binary_search(party).is_err());
            }
        }
        names.extend(left.into_iter().map(|party| self.named_whole(party)));
        names.sort_unstable();
        End { names }
    }

    /// Names one party of a node.
    pub(super) fn single(&self, nodes: &Nodes<'a>, node: u32, party: Party<'a>) -> End {
        End { names: vec![self.name(nodes, node, party)] }
    }

    fn name(&self, nodes: &Nodes<'a>, node: u32, party: Party<'a>) -> Name {
        let Some(class) = nodes.get(node).part else { return self.named_whole(party) };
        let leaves = self.parties[&party].get(&class).cloned().unwrap_or_default();
        match party {
            Party::Peer(name) => Name::Addresses(name.clone(), leaves),
            Party::Host => Name::Relay(leaves),
            Party::Outside(_) => Name::Beyond(leaves),
        }
    }

    fn named_whole(&self, party: Party<'a>) -> Name {
        match party {
            Party::Peer(name) => Name::Peer(name.clone()),
            Party::Host => Name::Relay(Vec::new()),
            Party::Outside(_) => {
                Name::Beyond(self.parties[&party].values().flatten().copied().collect())
            }
        }
    }
}

/// The policy whose peers and groups name the ends of a change.
const fn policy(sign: Sign) -> usize {
    match sign {
        Sign::Lost => 0,
        Sign::Gained | Sign::Kept => 1,
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set = |name: &&Name| matches!(name, Name::Any | Name::Group(_));
        let (sets, others): (Vec<&Name>, Vec<&Name>) = self.names.iter().partition(is_set);
        let shown = if others.len() > SHOWN { SHOWN - 1 } else { SHOWN };
        let more = others.len().saturating_sub(shown);
        let names = sets.into_iter().chain(others.into_iter().take(shown));
        let mut names: Vec<String> = names.map(ToString::to_string).collect();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        f.write_str(&names.join(", "))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |areas: &[Area]| areas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Any => f.write_str("any"),
            Self::Group(name) => write!(f, "group:{}", name.as_str()),
            Self::Peer(name) => f.write_str(name.as_str()),
            Self::Addresses(name, areas) => write!(f, "{} ({})", name.as_str(), list(areas)),
            Self::Relay(areas) if areas.is_empty() => f.write_str("the relay"),
            Self::Relay(areas) => write!(f, "the relay ({})", list(areas)),
            Self::Beyond(areas) => f.write_str(&list(areas)),
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = if self.is_rest { "the rest of " } else { "" };
        match self.prefix.prefix_len() == self.prefix.max_prefix_len() {
            true => write!(f, "{}", self.prefix.addr()),
            false => write!(f, "{rest}{}", self.prefix),
        }
    }
}
