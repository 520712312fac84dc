use std::collections::{BTreeMap, BTreeSet};

use super::open::Share;
use crate::model::{Group, GroupName, Relay, RuleName, Selector};

/// Peers up to which a side names them one by one.
const NAMED_MAX: usize = 3;

/// Names sides of rules: by the groups that there are, by new ones, and by peers.
pub(super) struct Naming<'r> {
    relay: &'r Relay,
    /// Groups of two peers and more, most members first.
    groups: Vec<(usize, BTreeSet<usize>)>,
    /// New groups, by their members.
    new: BTreeMap<Vec<usize>, usize>,
}

impl<'r> Naming<'r> {
    pub(super) fn of(relay: &'r Relay) -> Self {
        let groups = relay.groups.iter().enumerate();
        let groups = groups.map(|(place, group)| (place, group.members.iter().copied().collect()));
        let mut groups: Vec<(usize, BTreeSet<usize>)> =
            groups.filter(|(_, members): &(_, BTreeSet<usize>)| members.len() > 1).collect();
        groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        Self { relay, groups, new: BTreeMap::new() }
    }

    /// Selectors for exactly these.
    pub(super) fn side<'s>(
        &mut self,
        shares: impl IntoIterator<Item = &'s Share>,
    ) -> Vec<Selector> {
        let mut selectors = Vec::new();
        let mut whole = BTreeSet::new();
        let mut parts = BTreeSet::new();
        for share in shares {
            match &share.part {
                Some(part) => parts.extend(part.iter().copied().map(Selector::Prefix)),
                None => {
                    whole.insert(share.peer);
                }
            }
        }
        for (place, members) in &self.groups {
            let is_within = members.is_subset(&whole);
            if is_within {
                selectors.push(Selector::Group(*place));
                whole.retain(|peer| !members.contains(peer));
            }
        }
        if whole.len() > NAMED_MAX {
            let next = self.relay.groups.len() + self.new.len();
            let group = *self.new.entry(whole.into_iter().collect()).or_insert(next);
            selectors.push(Selector::Group(group));
        } else {
            selectors.extend(whole.into_iter().map(Selector::Peer));
        }
        selectors.extend(parts);
        selectors
    }

    /// The new groups, in the order of their places behind [`Relay::groups`].
    pub(super) fn groups(self) -> Vec<Group> {
        let mut groups: Vec<(usize, Vec<usize>)> =
            self.new.into_iter().map(|(members, place)| (place, members)).collect();
        groups.sort_unstable();
        let taken = self.relay.groups.iter().map(|group| group.name.as_str()).collect();
        groups
            .into_iter()
            .zip(free(taken))
            .filter_map(|((_, members), name)| {
                Some(Group { name: name.parse::<GroupName>().ok()?, members })
            })
            .collect()
    }
}

/// Names of rules that no rule has.
pub(super) fn rule_names(relay: &Relay) -> impl Iterator<Item = RuleName> + '_ {
    let taken = relay.rules.iter().map(|rule| rule.name.as_str()).collect();
    free(taken).filter_map(|name| name.parse().ok())
}

/// `learnt-1`, `learnt-2` and so on, but those that are taken.
fn free(taken: BTreeSet<&str>) -> impl Iterator<Item = String> + '_ {
    (1..)
        .map(|number: u32| format!("learnt-{number}"))
        .filter(move |name| !taken.contains(name.as_str()))
}
