use std::collections::HashMap;

use crate::{
    model::{Relay, Sides, Territory},
    policy::ServiceSet,
};

/// What rules let peers begin with each other. Peers that rules name alike are one role, so that
/// thousands of peers in few groups are small.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    rules: Vec<Shown>,
    roles: Vec<Vec<Part>>,
    role_of: Vec<usize>,
    of_role: Vec<Vec<usize>>,
}

/// A rule that has not ended.
#[derive(Debug, Clone)]
struct Shown {
    name: String,
    is_lent: bool,
    services: ServiceSet,
    both_ways: bool,
}

/// A rule that names a peer: in which families on which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    rule: usize,
    from: [bool; 2],
    to: [bool; 2],
}

/// Who may begin something by rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The first with the second.
    There,
    /// The second with the first.
    Back,
    /// Either, not the same.
    Both,
    /// Either, the same.
    Alike,
}

impl Rules {
    /// Of a relay, at a time in seconds since 1970-01-01T00:00:00Z.
    pub(super) fn of(relay: &Relay, now: u64) -> Self {
        let territory = Territory::of(relay);
        let sides = Sides::of(relay, &territory);
        let rules = relay.rules.iter().map(|rule| Shown {
            name: rule.name.to_string(),
            is_lent: rule.name.is_lent(),
            services: ServiceSet::of(&rule.services),
            both_ways: rule.both_ways,
        });
        let mut numbers: HashMap<Vec<Part>, usize> = HashMap::new();
        let mut roles = Vec::new();
        let mut of_role: Vec<Vec<usize>> = Vec::new();
        let mut role_of = Vec::new();
        for (place, peer) in relay.peers.iter().enumerate() {
            let has = |side: usize| [true, false].map(|is_v4| sides.side(side, is_v4).has(place));
            let parts = sides.of_rules().iter().enumerate().filter_map(|(rule, &[from, to])| {
                let part = Part { rule, from: has(from), to: has(to) };
                let is_named = part.from != [false, false] || part.to != [false, false];
                (is_named && peer.enabled && !relay.rules[rule].has_ended(now)).then_some(part)
            });
            let number = *numbers.entry(parts.collect()).or_insert_with_key(|parts| {
                roles.push(parts.clone());
                of_role.push(Vec::new());
                roles.len() - 1
            });
            role_of.push(number);
            of_role[number].push(place);
        }
        Self { rules: rules.collect(), roles, role_of, of_role }
    }

    /// Whether no rule lets anybody begin anything.
    pub(super) fn is_empty(&self) -> bool {
        self.roles.iter().all(Vec::is_empty)
    }

    /// Whether anything is lent.
    pub(super) fn has_lent(&self) -> bool {
        self.roles.iter().flatten().any(|part| self.rules[part.rule].is_lent)
    }

    /// The role of a peer.
    pub(super) fn role(&self, peer: usize) -> usize {
        self.role_of[peer]
    }

    /// Peers of each role.
    pub(super) fn roles(&self) -> &[Vec<usize>] {
        &self.of_role
    }

    /// Who may begin something, between peers of two roles.
    pub(super) fn way(&self, one: usize, other: usize) -> Option<Way> {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        self.meet(one, other, |rule, is_there, is_back| {
            there.extend(is_there.then_some(rule));
            back.extend(is_back.then_some(rule));
        });
        match (there.is_empty(), back.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Way::There),
            (true, false) => Some(Way::Back),
            (false, false) if there == back => Some(Way::Alike),
            (false, false) => Some(Way::Both),
        }
    }

    /// What peers of the first role may begin with peers of the second, and by which rules.
    pub(super) fn begun(&self, one: usize, other: usize) -> (ServiceSet, Vec<&str>) {
        let (mut services, mut names) = (ServiceSet::default(), Vec::new());
        self.meet(one, other, |rule, is_there, _| {
            if is_there {
                services = services.union(&self.rules[rule].services);
                names.push(self.rules[rule].name.as_str());
            }
        });
        (services, names)
    }

    /// Whether all that peers of the first role may begin with peers of the second is lent.
    pub(super) fn is_lent(&self, one: usize, other: usize) -> bool {
        let (mut some, mut all) = (false, true);
        self.meet(one, other, |rule, is_there, _| {
            some |= is_there;
            all &= !is_there || self.rules[rule].is_lent;
        });
        some && all
    }

    /// Every rule that names both roles, and whether it lets the first begin something, or the second.
    fn meet(&self, one: usize, other: usize, mut found: impl FnMut(usize, bool, bool)) {
        let (mut ones, mut others) = (self.roles[one].as_slice(), self.roles[other].as_slice());
        while let (Some(a), Some(b)) = (ones.first(), others.first()) {
            if a.rule == b.rule {
                let reach = |from: [bool; 2], to: [bool; 2]| from[0] && to[0] || from[1] && to[1];
                let (forth, back) = (reach(a.from, b.to), reach(b.from, a.to));
                let both_ways = self.rules[a.rule].both_ways && (forth || back);
                if forth || back {
                    found(a.rule, forth || both_ways, back || both_ways);
                }
            }
            // Either passes what the other lacks.
            if a.rule <= b.rule {
                ones = &ones[1..];
            }
            if b.rule <= a.rule {
                others = &others[1..];
            }
        }
    }
}
