//! Names of peers and groups, looked up.

use std::collections::{HashMap, HashSet};

use super::{
    selector::{Member, Named, NamedEnd},
    tables::Tables,
};
use crate::model::{End, GroupName, PeerName, Selector};

/// Edits up to which a name is suggested.
const NEAR_MAX: usize = 3;

/// The peers and groups of the files, by their names.
pub(super) struct Names<'t> {
    /// The place of the first peer of each name.
    peers: HashMap<&'t PeerName, usize>,
    groups: HashMap<&'t GroupName, usize>,
    /// Those of `[groups]` in the order of the text, then those that only peers name.
    pub(super) resolved: Vec<Resolved<'t>>,
    /// Groups that contain each other, by their places.
    pub(super) cycles: Vec<Vec<usize>>,
}

/// A group with its peers, those of nested groups included.
pub(super) struct Resolved<'t> {
    pub(super) name: &'t GroupName,
    /// Places of peers, ascending.
    pub(super) members: Vec<usize>,
    /// Places of groups that it contains.
    inner: Vec<usize>,
}

impl<'t> Names<'t> {
    pub(super) fn of(tables: &'t Tables) -> Self {
        let mut peers = HashMap::with_capacity(tables.peers.len());
        for (place, peer) in tables.peers.iter().enumerate() {
            if let Some(name) = &peer.name {
                peers.entry(&name.value).or_insert(place);
            }
        }
        let mut names =
            Self { peers, groups: HashMap::new(), resolved: Vec::new(), cycles: Vec::new() };
        for entry in &tables.groups {
            names.declare(&entry.name.value);
        }
        for (place, peer) in tables.peers.iter().enumerate() {
            for group in &peer.groups.items {
                let group = names.declare(&group.value);
                names.resolved[group].members.push(place);
            }
        }
        for entry in &tables.groups {
            let group = names.declare(&entry.name.value);
            for member in &entry.members.items {
                match &member.value {
                    Member::Peer(name) => {
                        let peer = names.peers.get(name).copied();
                        names.resolved[group].members.extend(peer);
                    }
                    Member::Group(name) => {
                        let inner = names.groups.get(name).copied();
                        names.resolved[group].inner.extend(inner);
                    }
                }
            }
        }
        names.nest();
        names
    }

    pub(super) fn peer(&self, name: &PeerName) -> Option<usize> {
        self.peers.get(name).copied()
    }

    pub(super) fn group(&self, name: &GroupName) -> Option<usize> {
        self.groups.get(name).copied()
    }

    pub(super) fn selector(&self, named: &Named) -> Option<Selector> {
        match named {
            Named::Any => Some(Selector::Any),
            Named::Peer(name) => self.peer(name).map(Selector::Peer),
            Named::Group(name) => self.group(name).map(Selector::Group),
            Named::Prefix(net) => Some(Selector::Prefix(*net)),
        }
    }

    pub(super) fn end(&self, named: &NamedEnd) -> Option<End> {
        match named {
            NamedEnd::Peer(name) => self.peer(name).map(End::Peer),
            NamedEnd::Address(address) => Some(End::Address(*address)),
        }
    }

    /// The peer whose name is most like this.
    pub(super) fn nearest_peer(&self, name: &str) -> Option<&'t str> {
        nearest(name, self.peers.keys().map(|peer| peer.as_str()))
    }

    /// The group whose name is most like this.
    pub(super) fn nearest_group(&self, name: &str) -> Option<&'t str> {
        nearest(name, self.groups.keys().map(|group| group.as_str()))
    }

    fn declare(&mut self, name: &'t GroupName) -> usize {
        *self.groups.entry(name).or_insert_with(|| {
            self.resolved.push(Resolved { name, members: Vec::new(), inner: Vec::new() });
            self.resolved.len() - 1
        })
    }

    /// Adds the peers of inner groups, innermost first. What is left then is in a cycle, or around
    /// one.
    fn nest(&mut self) {
        let mut waits: Vec<usize> = self.resolved.iter().map(|group| group.inner.len()).collect();
        let mut around = vec![Vec::new(); self.resolved.len()];
        for (outer, group) in self.resolved.iter().enumerate() {
            group.inner.iter().for_each(|&inner| around[inner].push(outer));
        }
        let mut ready: Vec<usize> = (0..waits.len()).filter(|&group| waits[group] == 0).collect();
        let mut left: HashSet<usize> = (0..waits.len()).collect();
        while let Some(group) = ready.pop() {
            left.remove(&group);
            let members = &mut self.resolved[group].members;
            members.sort_unstable();
            members.dedup();
            let members = members.clone();
            for &outer in &around[group] {
                self.resolved[outer].members.extend(&members);
                waits[outer] -= 1;
                if waits[outer] == 0 {
                    ready.push(outer);
                }
            }
        }
        self.find_cycles(left);
    }

    fn find_cycles(&mut self, mut left: HashSet<usize>) {
        for start in 0..self.resolved.len() {
            let mut path = Vec::new();
            let mut at = left.contains(&start).then_some(start);
            while let Some(group) = at {
                if let Some(first) = path.iter().position(|seen| *seen == group) {
                    self.cycles.push(path.split_off(first));
                    break;
                }
                path.push(group);
                let mut inner = self.resolved[group].inner.iter();
                at = inner.find(|inner| left.contains(inner)).copied();
            }
            left.retain(|group| !path.contains(group));
            if let Some(cycle) = self.cycles.last() {
                left.retain(|group| !cycle.contains(group));
            }
        }
    }
}

/// The most similar name, if it is similar at all; of several the first in the alphabet.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = NEAR_MAX.min(name.len() / 2);
    let near = known.map(|known| (strsim::damerau_levenshtein(known, name), known));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}
