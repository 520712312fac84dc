//! Which sides of which rules an address is on.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::sets::Sets;
use crate::model::{Relay, Rule, Selector};

/// A side of a rule: twice the rule's place, and one more for `to`.
pub(super) type Side = u32;

/// An end of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    From,
    To,
}

/// The place of the rule that a side is of, and which end of it.
pub(super) fn rule_of(side: Side) -> (usize, End) {
    (side as usize / 2, if side.is_multiple_of(2) { End::From } else { End::To })
}

/// Both sides of the rules, by what names them.
pub(super) struct Sides {
    /// What is named of each peer, whatever the address: a number into `bases`. 0 is nothing, as for
    /// peers that are off.
    base_of: Vec<usize>,
    /// Sides that a peer is on, without what is excepted.
    bases: Vec<Base>,
    /// What prefixes name.
    prefixes: BTreeMap<IpNet, Vec<Named>>,
    /// Sets of what prefixes around an address name.
    named: Sets,
    /// Results, by base and set of names.
    known: HashMap<(usize, usize), usize>,
    sides: Sets,
}

/// What a peer's own selectors say.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Base {
    sides: Vec<Side>,
    excepted: Vec<u32>,
}

/// A side that a prefix is on, or with this bit a rule that excepts it.
type Named = u32;

const EXCEPTED: Named = 1 << 31;

impl Sides {
    /// Of all rules of a relay.
    pub(super) fn of(relay: &Relay) -> Self {
        let mut by = Selectors::of(relay);
        let mut groups_of: Vec<Vec<usize>> = vec![Vec::new(); relay.peers.len()];
        for (number, group) in relay.groups.iter().enumerate() {
            if by.groups.contains_key(&number) {
                group.members.iter().for_each(|&peer| groups_of[peer].push(number));
            }
        }
        let mut bases = vec![Base::default()];
        let mut numbers = HashMap::new();
        let base_of =
            relay.peers.iter().zip(groups_of).enumerate().map(|(place, (peer, groups))| {
                if !peer.enabled || relay.rules.is_empty() {
                    return 0;
                }
                let own = by.peers.remove(&place).unwrap_or_default();
                *numbers.entry((groups, own)).or_insert_with_key(|(groups, own)| {
                    let mut base = by.any.clone();
                    for named in groups.iter().filter_map(|group| by.groups.get(group)).chain([own])
                    {
                        base.sides.extend(&named.sides);
                        base.excepted.extend(&named.excepted);
                    }
                    base.sides.sort_unstable();
                    base.sides.dedup();
                    base.excepted.sort_unstable();
                    bases.push(base);
                    bases.len() - 1
                })
            });
        let base_of = base_of.collect();
        Self {
            base_of,
            bases,
            prefixes: by.prefixes,
            named: Sets::new(),
            known: HashMap::new(),
            sides: Sets::new(),
        }
    }

    /// Prefixes that rules name.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.prefixes.keys().copied()
    }

    /// What prefixes name at this one, given the same for the next longer-reaching one around it.
    pub(super) fn named_by(&mut self, prefix: &IpNet, around: usize) -> usize {
        match self.prefixes.get(prefix) {
            Some(named) => self.named.with(around, named),
            None => around,
        }
    }

    /// The set of sides of addresses of a peer, at which prefixes name `named`.
    pub(super) fn of_owner(&mut self, peer: usize, named: usize) -> usize {
        let base = self.base_of[peer];
        if base == 0 {
            return 0;
        }
        if let Some(&known) = self.known.get(&(base, named)) {
            return known;
        }
        let Base { sides, excepted } = &self.bases[base];
        let named_here = self.named.get(named);
        let is_excepted = |side: &Side| {
            let rule = side / 2;
            excepted.binary_search(&rule).is_ok()
                || named_here.binary_search(&(rule | EXCEPTED)).is_ok()
        };
        let more = named_here.iter().filter(|&&named| named & EXCEPTED == 0);
        let mut set: Vec<Side> = sides.iter().chain(more).copied().collect();
        set.retain(|side| !is_excepted(side));
        set.sort_unstable();
        set.dedup();
        let number = self.sides.number(set);
        self.known.insert((base, named), number);
        number
    }

    /// All sets of sides.
    pub(super) fn into_sets(self) -> Vec<Vec<Side>> {
        self.sides.into_vec()
    }
}

/// What each selector is named for.
#[derive(Default)]
struct Selectors {
    any: Base,
    peers: HashMap<usize, Base>,
    groups: HashMap<usize, Base>,
    prefixes: BTreeMap<IpNet, Vec<Named>>,
}

impl Selectors {
    fn of(relay: &Relay) -> Self {
        let mut by = Self::default();
        for (number, Rule { from, to, except, .. }) in (0..).zip(&relay.rules) {
            let sides = from.iter().map(|one| (one, 2 * number));
            for (selector, side) in sides.chain(to.iter().map(|one| (one, 2 * number + 1))) {
                match by.named(selector) {
                    Place::Base(base) => base.sides.push(side),
                    Place::Prefix(named) => named.push(side),
                }
            }
            for selector in except {
                match by.named(selector) {
                    Place::Base(base) => base.excepted.push(number),
                    Place::Prefix(named) => named.push(number | EXCEPTED),
                }
            }
        }
        by
    }

    fn named(&mut self, selector: &Selector) -> Place<'_> {
        match *selector {
            Selector::Any => Place::Base(&mut self.any),
            Selector::Peer(peer) => Place::Base(self.peers.entry(peer).or_default()),
            Selector::Group(group) => Place::Base(self.groups.entry(group).or_default()),
            Selector::Prefix(prefix) => Place::Prefix(self.prefixes.entry(prefix).or_default()),
        }
    }
}

/// Where it is noted what a selector is named for.
enum Place<'a> {
    Base(&'a mut Base),
    Prefix(&'a mut Vec<Named>),
}
