use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::interned::Interned;
use crate::model::{Relay, Selector};

/// A side of a rule, by its place in [`Relay::rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    From(usize),
    To(usize),
}

/// A mention of addresses in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Mention {
    On(Side),
    Except(usize),
}

/// Which sides of the rules of a relay hold which addresses.
#[derive(Debug)]
pub(super) struct Sides {
    /// Mentions of each peer, by name, by group, or as any.
    of_peer: Vec<u32>,
    of_prefix: BTreeMap<IpNet, Vec<Mention>>,
    mentions: Interned<Vec<Mention>>,
    sets: Interned<Vec<Side>>,
    known: HashMap<(u32, u32), u32>,
}

impl Sides {
    /// The number of no mentions of prefixes.
    pub(super) const NONE: u32 = 0;

    pub(super) fn of(relay: &Relay) -> Self {
        let mut mentions = Interned::new();
        mentions.number(Vec::new());
        let mut of_peer = vec![Vec::new(); relay.peers.len()];
        let mut of_prefix: BTreeMap<IpNet, Vec<Mention>> = BTreeMap::new();
        for (place, rule) in relay.rules.iter().enumerate() {
            let of = |selectors, mention| (selectors, mention);
            for (selectors, mention) in [
                of(&rule.from, Mention::On(Side::From(place))),
                of(&rule.to, Mention::On(Side::To(place))),
                of(&rule.except, Mention::Except(place)),
            ] {
                for selector in selectors {
                    match *selector {
                        Selector::Any => of_peer.iter_mut().for_each(|all| all.push(mention)),
                        Selector::Peer(peer) => of_peer[peer].push(mention),
                        Selector::Group(group) => {
                            let members = &relay.groups[group].members;
                            members.iter().for_each(|&peer| of_peer[peer].push(mention));
                        }
                        Selector::Prefix(net) => of_prefix.entry(net).or_default().push(mention),
                    }
                }
            }
        }
        let of_peer = of_peer.into_iter().map(|all| mentions.number(sorted(all))).collect();
        Self { of_peer, of_prefix, mentions, sets: Interned::new(), known: HashMap::new() }
    }

    /// Prefixes that rules name.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.of_prefix.keys().copied()
    }

    /// The number of the mentions of a prefix, given that of the prefix around it.
    pub(super) fn inside(&mut self, around: u32, prefix: &IpNet) -> u32 {
        let Some(own) = self.of_prefix.get(prefix) else { return around };
        let all = [self.mentions.get(around).as_slice(), own].concat();
        self.mentions.number(sorted(all))
    }

    /// The number of the sides that hold the addresses of a peer that have these mentions.
    pub(super) fn holding(&mut self, peer: usize, prefix: u32) -> u32 {
        let key = (self.of_peer[peer], prefix);
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let all = sorted([&self.mentions.get(key.0)[..], self.mentions.get(key.1)].concat());
        let sides = all.iter().filter_map(|mention| match *mention {
            Mention::On(side @ (Side::From(rule) | Side::To(rule))) => {
                all.binary_search(&Mention::Except(rule)).is_err().then_some(side)
            }
            Mention::Except(_) => None,
        });
        let mut sides: Vec<Side> = sides.collect();
        sides.sort_unstable_by_key(|side| match *side {
            Side::From(rule) => (rule, 0),
            Side::To(rule) => (rule, 1),
        });
        let number = self.sets.number(sides);
        self.known.insert(key, number);
        number
    }

    /// Sides by their number, those of one rule together.
    pub(super) fn get(&self, number: u32) -> &[Side] {
        self.sets.get(number)
    }
}

fn sorted(mut mentions: Vec<Mention>) -> Vec<Mention> {
    mentions.sort_unstable();
    mentions.dedup();
    mentions
}
