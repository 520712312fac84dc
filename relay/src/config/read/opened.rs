//! Which pairs of peers rules open.

use std::collections::HashMap;

use crate::model::{Relay, Sides};

/// Pairs that rules open, in one address family. Peers that are in the same sides of rules are one
/// class, so that groups of thousands of peers are one comparison.
pub(super) struct Opened {
    class_of: Vec<usize>,
    /// Sides of each class, ascending.
    sides: Vec<Vec<usize>>,
    rules: Vec<[usize; 2]>,
    known: HashMap<(usize, usize), bool>,
}

impl Opened {
    /// Both families: IPv4, IPv6.
    pub(super) fn of(relay: &Relay, sides: &Sides) -> [Self; 2] {
        [true, false].map(|is_v4| Self::of_family(relay, sides, is_v4))
    }

    fn of_family(relay: &Relay, sides: &Sides, is_v4: bool) -> Self {
        let mut numbers = HashMap::new();
        let mut classes = Vec::new();
        let class_of = (0..relay.peers.len()).map(|peer| {
            let with: Vec<usize> = sides.with(peer, is_v4).collect();
            *numbers.entry(with).or_insert_with_key(|with| {
                classes.push(with.clone());
                classes.len() - 1
            })
        });
        let class_of = class_of.collect();
        let rules = sides.of_rules().to_vec();
        Self { class_of, sides: classes, rules, known: HashMap::new() }
    }

    /// The class of a peer, by its place in [`Relay::peers`].
    pub(super) fn class(&self, peer: usize) -> usize {
        self.class_of[peer]
    }

    /// Whether a rule lets a peer of one class begin something with a peer of the other, or the other
    /// way round.
    pub(super) fn is_open(&mut self, one: usize, other: usize) -> bool {
        let (sides, rules) = (&self.sides, &self.rules);
        *self.known.entry((one, other)).or_insert_with(|| {
            let has = |class: usize, side: &usize| sides[class].binary_search(side).is_ok();
            rules.iter().any(|[from, to]| {
                (has(one, from) && has(other, to)) || (has(one, to) && has(other, from))
            })
        })
    }
}
