//! Warnings about whom the lists cover: one-sided pairs, in which only one peer lists the other and
//! that no rule opens, and entries that cover no peer.

use std::collections::HashMap;

use ipnet::IpNet;

use super::{
    fault::Fault,
    findings::Findings,
    opened::Opened,
    owned::{Owned, Owner},
    place::Located,
    prefix::short,
    table::List,
    tables::Tables,
};
use crate::model::{Egress, Peer, Relay, Sides, Territory};

/// One-sided pairs, and entries that cover no peer, that are listed one by one.
const LISTED: usize = 20;
/// Up to this many covered peers, summed over all different lists, pairs are compared.
const COVERED_MAX: usize = 3_000_000;

const COVER_SOMEBODY: &str = "remove it, or give a peer an address in it";
const SEE_MORE: &str = "fix the listed ones to see them";

pub(super) fn warn(relay: &Relay, tables: &Tables, sides: &Sides, findings: &mut Findings) {
    let owned = Owned::new(relay);
    covers_nobody(relay, tables, &owned, findings);
    let mut pairs = OneSided { relay, tables, owned: &owned, listed: 0, more: 0 };
    for (is_v4, mut opened) in [true, false].into_iter().zip(Opened::of(relay, sides)) {
        pairs.find(is_v4, &mut opened, findings);
    }
    pairs.close(findings);
}

/// For each peer, by its place, the peers that it lists in an address family in which they do not
/// list it, and no rule opens the pair. `None` if wide lists make that too many to compare.
pub fn one_sided(relay: &Relay) -> Option<Vec<Vec<usize>>> {
    let owned = Owned::new(relay);
    let sides = Sides::of(relay, &Territory::of(relay));
    let mut short = vec![Vec::new(); relay.peers.len()];
    let mut left = COVERED_MAX;
    for (is_v4, mut opened) in [true, false].into_iter().zip(Opened::of(relay, &sides)) {
        let groups = Groups::of(relay, &opened, is_v4);
        let covered = groups.cover(&owned, &mut left)?;
        for (from, &group) in groups.of_peer.iter().enumerate() {
            let has_family = |network: IpNet| network.addr().is_ipv4() == is_v4;
            if !relay.peers[from].owned().any(has_family) {
                continue;
            }
            let peers = &covered[groups.list[group]].peers;
            for (other, _) in groups.unanswered(&covered, from, &mut opened) {
                left = left.checked_sub(peers.len())?;
                let of_group = |to: &&usize| groups.of_peer[**to] == other && **to != from;
                short[from].extend(peers.iter().filter(of_group));
            }
        }
    }
    for list in &mut short {
        list.sort_unstable();
        list.dedup();
    }
    Some(short)
}

fn covers_nobody(relay: &Relay, tables: &Tables, owned: &Owned, findings: &mut Findings) {
    // With egress, an entry outside the overlay permits leaving it.
    let leaves = |entry: IpNet| {
        let overlay = |network: &IpNet| network.contains(&entry);
        relay.egress == Egress::Stack && !relay.addresses.iter().any(overlay)
    };
    if let Some(list) = &tables.defaults.allowed_ips {
        for Located { value: entry, place } in &list.items {
            if !leaves(*entry) && owned.covered(*entry).next().is_none() {
                let fault = Fault::new(format!("{} covers no peer", short(entry)), COVER_SOMEBODY);
                findings.present(*place, "defaults.allowed_ips", fault);
            }
        }
    }
    let mut more = 0;
    let mut listed = 0;
    for (index, peer) in tables.peers.iter().enumerate() {
        let entries = peer.allowed_ips.iter().flat_map(|list| &list.items);
        for Located { value: entry, place } in entries {
            let mut covered = owned.covered(*entry).map(|(_, owner)| owner).peekable();
            let itself = covered.peek().is_some();
            if leaves(*entry) || covered.any(|owner| owner != Owner::Peer(index)) {
                continue;
            }
            if listed == LISTED {
                more += 1;
                continue;
            }
            listed += 1;
            let entry = short(entry);
            let fault = if itself {
                Fault::new(format!("{entry} covers only the peer itself"), "remove it")
            } else {
                Fault::new(format!("{entry} covers no peer"), COVER_SOMEBODY)
            };
            findings.present(*place, format!("{}.allowed_ips", peer.label), fault);
        }
    }
    if more > 0 {
        let problem = format!("{more} more entries that cover no peer are not listed");
        report_last(tables, Fault::new(problem, SEE_MORE), findings);
    }
}

/// Reports what concerns many peers, behind all that concerns one.
fn report_last(tables: &Tables, fault: Fault, findings: &mut Findings) {
    if let Some(peer) = tables.peers.last() {
        let list = peer.allowed_ips.as_ref().and_then(|list| list.items.last());
        let place = list.map_or(peer.place, |entry| entry.place);
        findings.present(place, "peer.allowed_ips", fault);
    }
}

/// The search for one-sided pairs, in one address family at a time.
///
/// Peers with equal lists and rules are one group, and pairs are counted by group: ten thousand peers
/// that inherit one list are one comparison each.
struct OneSided<'t> {
    relay: &'t Relay,
    tables: &'t Tables,
    owned: &'t Owned,
    listed: usize,
    more: usize,
}

/// What a list covers.
struct Covered {
    /// Peers, ascending.
    peers: Vec<usize>,
    /// The groups of those peers, and how many are in each; those with equal lists side by side.
    groups: Vec<(usize, usize)>,
}

impl OneSided<'_> {
    fn find(&mut self, is_v4: bool, opened: &mut Opened, findings: &mut Findings) {
        let groups = Groups::of(self.relay, opened, is_v4);
        let mut left = COVERED_MAX;
        let Some(covered) = groups.cover(self.owned, &mut left) else {
            self.give_up(findings);
            return;
        };
        for (from, &group) in groups.of_peer.iter().enumerate() {
            let Some(owned) = self.owned(from, is_v4) else { continue };
            let peers = &covered[groups.list[group]].peers;
            for (other, count) in groups.unanswered(&covered, from, opened) {
                let room = (LISTED - self.listed).min(count);
                let of_group = peers.iter().filter(|&&to| groups.of_peer[to] == other);
                for &to in of_group.take(room) {
                    self.list(from, to, owned, is_v4, findings);
                }
                self.listed += room;
                self.more += count - room;
            }
        }
    }

    /// The first prefix of the family that the peer owns.
    fn owned(&self, peer: usize, is_v4: bool) -> Option<IpNet> {
        self.relay.peers[peer].owned().find(|network| network.addr().is_ipv4() == is_v4)
    }

    fn list(&self, from: usize, to: usize, owned: IpNet, is_v4: bool, findings: &mut Findings) {
        let Some(entries) = self.entries(from) else { return };
        let of_to = |entry: &Located<IpNet>| {
            let covered = self.owned.covered(entry.value);
            covered.filter(|(_, owner)| *owner == Owner::Peer(to)).map(|(net, _)| net).next()
        };
        let family = |entry: &&Located<IpNet>| entry.value.addr().is_ipv4() == is_v4;
        let mut hits = entries.items.iter().filter(family);
        let Some((entry, target)) = hits.find_map(|entry| Some((entry, of_to(entry)?))) else {
            return;
        };
        let Peer { name: to, .. } = &self.relay.peers[to];
        let problem = format!(
            "covers {to} ({}), but allowed_ips of {to} lack {}",
            short(&target),
            short(&owned)
        );
        let remedy =
            format!("add \"{owned}\" to allowed_ips of {to}, or remove {} here", short(&target));
        let key = format!("{}.allowed_ips", self.relay.peers[from].name);
        findings.present(entry.place, key, Fault::new(problem, remedy));
    }

    /// The peer's own list, or the inherited one.
    fn entries(&self, peer: usize) -> Option<&List<IpNet>> {
        self.tables.peers[peer].allowed_ips.as_ref().or(self.tables.defaults.allowed_ips.as_ref())
    }

    fn close(&self, findings: &mut Findings) {
        if self.more > 0 {
            let problem = format!("{} more one-sided pairs are not listed", self.more);
            report_last(self.tables, Fault::new(problem, SEE_MORE), findings);
        }
    }

    fn give_up(&self, findings: &mut Findings) {
        let problem = "too many different wide lists to search for one-sided pairs";
        let fault = Fault::new(problem, "move a list that peers share to [defaults]");
        report_last(self.tables, fault, findings);
    }
}

/// Peers with equal lists, which are in the same sides of rules, in one address family.
struct Groups {
    of_peer: Vec<usize>,
    /// The list of each group: a place in `lists`.
    list: Vec<usize>,
    /// The class of each group, by rules.
    class: Vec<usize>,
    lists: Vec<Vec<IpNet>>,
}

impl Groups {
    fn of(relay: &Relay, opened: &Opened, is_v4: bool) -> Self {
        let mut known_lists = HashMap::new();
        let mut known = HashMap::new();
        let mut groups =
            Self { of_peer: Vec::new(), list: Vec::new(), class: Vec::new(), lists: Vec::new() };
        for (place, peer) in relay.peers.iter().enumerate() {
            let family = |entry: &&IpNet| entry.addr().is_ipv4() == is_v4;
            let mut list: Vec<IpNet> = peer.allowed_ips.iter().filter(family).copied().collect();
            list.sort_unstable();
            let list = *known_lists.entry(list).or_insert_with_key(|list| {
                groups.lists.push(list.clone());
                groups.lists.len() - 1
            });
            let class = opened.class(place);
            let group = *known.entry((list, class)).or_insert_with(|| {
                groups.list.push(list);
                groups.class.push(class);
                groups.list.len() - 1
            });
            groups.of_peer.push(group);
        }
        groups
    }

    /// What each list covers. `None` if that is more than is `left`.
    fn cover(&self, owned: &Owned, left: &mut usize) -> Option<Vec<Covered>> {
        self.lists.iter().map(|list| self.cover_by(owned, list, left)).collect()
    }

    /// The groups, and how many of each, that a peer lists, that do not list it, and to which no rule
    /// opens the pair.
    fn unanswered(
        &self,
        covered: &[Covered],
        from: usize,
        opened: &mut Opened,
    ) -> Vec<(usize, usize)> {
        let own = self.of_peer[from];
        let by_list = covered[self.list[own]]
            .groups
            .chunk_by(|(one, _), (other, _)| self.list[*one] == self.list[*other]);
        let lists_it = |groups: &&[(usize, usize)]| {
            let list = groups.first().map(|(group, _)| self.list[*group]);
            list.is_some_and(|list| covered[list].peers.binary_search(&from).is_ok())
        };
        let others = by_list.filter(|groups| !lists_it(groups)).flatten().copied();
        others.filter(|(other, _)| !opened.is_open(self.class[own], self.class[*other])).collect()
    }

    /// `None` if it covers more than is `left`.
    fn cover_by(&self, owned: &Owned, list: &[IpNet], left: &mut usize) -> Option<Covered> {
        let mut peers = Vec::new();
        for entry in list {
            for (_, owner) in owned.covered(*entry) {
                *left = left.checked_sub(1)?;
                if let Owner::Peer(index) = owner {
                    peers.push(index);
                }
            }
        }
        peers.sort_unstable();
        peers.dedup();
        let mut members: Vec<_> = peers.iter().map(|&peer| self.of_peer[peer]).collect();
        members.sort_unstable_by_key(|group| (self.list[*group], *group));
        let groups = members.chunk_by(|a, b| a == b).map(|chunk| (chunk[0], chunk.len())).collect();
        Some(Covered { peers, groups })
    }
}
