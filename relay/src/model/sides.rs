use std::collections::{HashMap, hash_map::Entry};

use super::{Coverage, Relay, Selector, Territory};

/// What the sides of all rules cover. Sides that are written alike are one.
#[derive(Debug)]
pub struct Sides {
    /// Each in IPv4 and IPv6.
    distinct: Vec<[Coverage; 2]>,
    of_rule: Vec<[usize; 2]>,
}

impl Sides {
    /// Of all rules of a relay.
    pub fn of(relay: &Relay, territory: &Territory) -> Self {
        let mut distinct = Vec::new();
        let mut known: HashMap<(&[Selector], &[Selector]), usize> = HashMap::new();
        let mut place = |side, except| match known.entry((side, except)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let covered = |is_v4| Coverage::of(relay, territory, side, except, is_v4);
                distinct.push([covered(true), covered(false)]);
                *new.insert(distinct.len() - 1)
            }
        };
        let of_rule = relay
            .rules
            .iter()
            .map(|rule| [place(&rule.from, &rule.except), place(&rule.to, &rule.except)])
            .collect();
        Self { distinct, of_rule }
    }

    /// The sides `from` and `to` of each rule, by their numbers, in the order of the rules.
    pub fn of_rules(&self) -> &[[usize; 2]] {
        &self.of_rule
    }

    /// What the side of this number covers in one family.
    pub fn side(&self, number: usize, is_v4: bool) -> &Coverage {
        &self.distinct[number][usize::from(!is_v4)]
    }

    /// The sides in which a peer owns something, ascending.
    pub fn with(&self, peer: usize, is_v4: bool) -> impl Iterator<Item = usize> + '_ {
        (0..self.distinct.len()).filter(move |&number| self.side(number, is_v4).has(peer))
    }
}
