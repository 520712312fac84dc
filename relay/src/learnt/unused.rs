use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use super::uses::Learnt;
use crate::model::{Lists, Relay, Span, Territory};

/// An entry of a list that opens peers which nothing was exchanged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedEntry {
    /// Whose list it is in.
    pub peer: usize,
    /// The entry.
    pub entry: IpNet,
    /// Peers that it opens with which something was exchanged.
    pub used: Vec<usize>,
    /// Peers that it opens with which nothing was; not empty.
    pub unused: Vec<usize>,
    /// When something was exchanged with any of them, before the time that was asked for.
    pub last: Option<u64>,
}

/// A rule that let nothing pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnusedRule {
    /// Its place in [`Relay::rules`].
    pub rule: usize,
    /// When it last let something pass, before the time that was asked for.
    pub last: Option<u64>,
}

/// Entries of lists that open peers with which their peer has exchanged nothing since a time, in
/// seconds since 1970-01-01T00:00:00Z. Entries that open nobody are not among them. Disabled peers
/// are left out.
pub fn unused_entries(relay: &Relay, learnt: &Learnt, since: u64) -> Vec<UnusedEntry> {
    let territory = Territory::of(relay);
    let mut last: HashMap<[usize; 2], u64> = HashMap::new();
    for one in &learnt.uses {
        let pair = [one.from.min(one.to), one.from.max(one.to)];
        let known = last.entry(pair).or_default();
        *known = one.last.max(*known);
    }
    let lists = Lists::of(relay);
    let mut unused = Vec::new();
    for (peer, own) in relay.peers.iter().enumerate() {
        let holds = [true, false].map(|is_v4| {
            let owned = territory.of_peer(peer, is_v4);
            let holds = lists.numbers().map(|list| lists.spans(list, is_v4).intersects(owned));
            holds.collect::<Vec<_>>()
        });
        for &entry in own.may_reach().iter().collect::<BTreeSet<_>>() {
            let is_v4 = entry.addr().is_ipv4();
            let opened: BTreeSet<usize> = territory
                .within(Span::of(&entry), is_v4)
                .map(|(_, owner)| owner)
                .filter(|&owner| owner != peer && relay.peers[owner].enabled)
                .filter(|&owner| holds[usize::from(!is_v4)][lists.of_peer(owner)])
                .collect();
            let of = |other: usize| last.get(&[peer.min(other), peer.max(other)]).copied();
            let (used, unused_ones): (Vec<usize>, Vec<usize>) =
                opened.into_iter().partition(|&other| of(other).is_some_and(|last| last >= since));
            if !unused_ones.is_empty() {
                let last = unused_ones.iter().filter_map(|&other| of(other)).max();
                unused.push(UnusedEntry { peer, entry, used, unused: unused_ones, last });
            }
        }
    }
    unused
}

/// Rules that have let nothing pass since a time, in seconds since 1970-01-01T00:00:00Z.
pub fn unused_rules(uses: &[Option<u64>], since: u64) -> Vec<UnusedRule> {
    let rules = uses.iter().copied().enumerate();
    rules
        .filter(|(_, last)| last.is_none_or(|last| last < since))
        .map(|(rule, last)| UnusedRule { rule, last })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learnt::{
        tests::{self, net},
        uses::Use,
    };

    /// Peers 10.3.2.2 to 10.3.2.5 with these lists; the third has 192.168.1.0/24, too.
    fn relay(lists: [&[&str]; 4]) -> Relay {
        let mut relay = tests::relay(4);
        relay.peers[2].routes = vec![net("192.168.1.0/24")];
        for (peer, list) in relay.peers.iter_mut().zip(lists) {
            peer.allowed_ips = list.iter().map(|text| net(text)).collect();
        }
        relay
    }

    fn learnt(pairs: &[(usize, usize, u64)]) -> Learnt {
        let uses = pairs.iter().map(|&(from, to, last)| Use {
            from,
            to,
            service: None,
            packets: 1,
            bytes: 100,
            first: 0,
            last,
        });
        Learnt { uses: uses.collect(), ..Learnt::default() }
    }

    /// Peer, entry, used, unused, last.
    type Entry = (usize, String, Vec<usize>, Vec<usize>, Option<u64>);

    fn entries(relay: &Relay, learnt: &Learnt, since: u64) -> Vec<Entry> {
        let entries = unused_entries(relay, learnt, since).into_iter();
        entries.map(|it| (it.peer, it.entry.to_string(), it.used, it.unused, it.last)).collect()
    }

    #[test]
    fn an_entry_is_used_by_either_side() {
        let relay =
            relay([&["10.3.2.3/32", "10.3.2.4/32"], &["10.3.2.2/32"], &["10.3.2.2/32"], &[]]);
        let used = learnt(&[(1, 0, 50)]);
        assert_eq!(
            entries(&relay, &used, 50),
            [
                (0, "10.3.2.4/32".to_owned(), vec![], vec![2], None),
                (2, "10.3.2.2/32".to_owned(), vec![], vec![0], None),
            ]
        );
        let all = learnt(&[(1, 0, 50), (0, 2, 60), (0, 2, 10)]);
        assert_eq!(entries(&relay, &all, 50), []);
        assert_eq!(
            entries(&relay, &all, 51),
            [
                (0, "10.3.2.3/32".to_owned(), vec![], vec![1], Some(50)),
                (1, "10.3.2.2/32".to_owned(), vec![], vec![0], Some(50)),
            ]
        );
    }

    #[test]
    fn a_wide_entry_says_for_whom_it_is_used() {
        let all: &[&str] = &["10.3.2.0/24"];
        let relay = relay([all, all, all, &["192.168.0.0/16"]]);
        assert_eq!(
            entries(&relay, &learnt(&[(0, 1, 50)]), 50),
            [
                (0, "10.3.2.0/24".to_owned(), vec![1], vec![2], None),
                (1, "10.3.2.0/24".to_owned(), vec![0], vec![2], None),
                (2, "10.3.2.0/24".to_owned(), vec![], vec![0, 1, 3], None),
                (3, "192.168.0.0/16".to_owned(), vec![], vec![2], None),
            ]
        );
    }

    #[test]
    fn disabled_peers_and_entries_that_open_nobody_are_left_out() {
        let mut relay = relay([&["10.3.2.3/32", "10.3.2.4/32"], &["10.3.2.2/32"], &[], &[]]);
        relay.peers[1].enabled = false;
        assert_eq!(entries(&relay, &learnt(&[]), 0), []);
    }

    #[test]
    fn a_rule_is_unused_if_its_last_packet_is_older() {
        let unused = unused_rules(&[Some(50), Some(49), None], 50);
        let expected = [(1, Some(49)), (2, None)].map(|(rule, last)| UnusedRule { rule, last });
        assert_eq!(unused, expected);
    }
}
