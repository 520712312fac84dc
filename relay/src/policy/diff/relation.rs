use std::{collections::HashMap, mem};

use super::{
    bits::Bits,
    change::{Changes, Numbered},
    refinement::{Key, Policy, Refinement},
};
use crate::{
    model::{Egress, Rule},
    policy::{
        service_set::ServiceSet,
        sides::{End, rule_of},
        space::Group,
    },
};

/// Between which classes something changes: for each source, its destinations.
pub(super) type Rows = Vec<(u32, Bits)>;

/// What each change concerns, by number of the change.
pub(super) struct Relations<'r, 'a> {
    refinement: &'r Refinement<'a>,
    changes: Changes<'a>,
    indexes: [Index; 2],
    /// Classes by family.
    families: [Bits; 2],
    /// For each rule of each policy, the same rule of the other one.
    twins: [Vec<Option<Twin>>; 2],
    of_change: Vec<Rows>,
}

/// A rule of the other policy with the same name, services, arrows and end.
struct Twin {
    rule: usize,
    /// Whether both hold the same classes.
    is_from_same: bool,
    is_to_same: bool,
}

/// Classes of one policy, by what they have.
struct Index {
    of_group: HashMap<Group, Bits>,
    listed_by: HashMap<Group, Bits>,
    from: Vec<Bits>,
    to: Vec<Bits>,
    host: Bits,
    has_ended: Vec<bool>,
}

/// What a source may begin with whom.
struct Row {
    lists: Bits,
    host: Bits,
    rules: Vec<(usize, Bits)>,
}

impl<'r, 'a> Relations<'r, 'a> {
    /// Finds all changes, at a time in seconds since 1970-01-01T00:00:00Z.
    pub(super) fn find(refinement: &'r Refinement<'a>, now: u64) -> (Changes<'a>, Vec<Rows>) {
        let relays = [0, 1].map(|policy: usize| refinement.policies[policy].sources.relay);
        let indexes = [0, 1].map(|policy| Index::of(refinement, policy, now));
        let classes = refinement.classes.values();
        let families = [0, 1].map(|family: usize| {
            let all = (0..).zip(classes).filter(|(_, class)| class.families[family]);
            all.map(|(number, _)| number).collect()
        });
        let twins = twins(relays.map(|relay| relay.rules.as_slice()), &indexes);
        let changes = Changes::of(relays);
        let of_change = Vec::new();
        let mut found = Self { refinement, changes, indexes, families, twins, of_change };
        let mut chains = vec![Changes::NOTHING; classes.len()];
        for source in (0..).take(classes.len()) {
            found.source(source, &mut chains);
        }
        (found.changes, found.of_change)
    }

    /// Adds what changes from one source.
    fn source(&mut self, source: u32, chains: &mut [u32]) {
        let [before, after] = [0, 1].map(|policy| self.row(policy, source));
        let mut concerned = before.lists.difference(&after.lists);
        let [host_before, host_after] = self.changes.host();
        concerned = concerned.union(&match host_before == host_after {
            true => before.host.difference(&after.host),
            false => before.host.union(&after.host),
        });
        for (policy, row) in [&before, &after].into_iter().enumerate() {
            for (rule, to) in &row.rules {
                let twin = self.twins[policy][*rule].as_ref();
                if !twin.is_some_and(|twin| self.is_alike(source, policy, *rule, twin)) {
                    concerned = concerned.union(to);
                }
            }
        }
        concerned = concerned.without(&before.lists.intersection(&after.lists));
        if concerned.is_empty() {
            return;
        }
        let [v4, v6] = self.refinement.classes.get(source).families;
        let of = |has: bool, family: &Bits| if has { family.clone() } else { Bits::default() };
        let related = of(v4, &self.families[0]).union(&of(v6, &self.families[1]));
        let concerned = concerned.intersection(&related);

        for (policy, row) in [before, after].into_iter().enumerate() {
            let fixed = [(Numbered::Lists, row.lists), (Numbered::Host, row.host)];
            let rules = row.rules.into_iter().map(|(rule, to)| (Numbered::Rule(rule), to));
            for (ground, to) in fixed.into_iter().chain(rules) {
                for class in to.intersection(&concerned).iter() {
                    let chain = &mut chains[class as usize];
                    *chain = self.changes.chained(*chain, policy, ground);
                }
            }
        }
        let mut rows: HashMap<u32, Bits> = HashMap::new();
        for class in concerned.iter() {
            let chain = mem::replace(&mut chains[class as usize], Changes::NOTHING);
            for change in self.changes.made_by(chain) {
                rows.entry(*change).or_default().insert(class);
            }
        }
        self.of_change.resize_with(self.changes.all().len(), Rows::new);
        for (change, row) in rows {
            self.of_change[change as usize].push((source, row));
        }
    }

    /// Whether a rule and its twin let a source begin something with the same others.
    fn is_alike(&self, source: u32, policy: usize, rule: usize, twin: &Twin) -> bool {
        let holds = |policy: usize, rule: usize| {
            let Index { from, to, .. } = &self.indexes[policy];
            [from[rule].contains(source), to[rule].contains(source)]
        };
        let [is_from, is_to] = holds(policy, rule);
        holds(1 - policy, twin.rule) == [is_from, is_to]
            && (!is_from || twin.is_to_same)
            && (!is_to || twin.is_from_same)
    }

    fn row(&self, policy: usize, source: u32) -> Row {
        let index = &self.indexes[policy];
        let mut row = Row { lists: Bits::default(), host: Bits::default(), rules: Vec::new() };
        let (sets, relay) = {
            let Policy { space, sources, .. } = &self.refinement.policies[policy];
            (&space.sets, sources.relay)
        };
        match self.refinement.classes.get(source).keys[policy] {
            None | Some(Key::Host) => {}
            Some(Key::Peer { group, listed, sides }) => {
                let candidates = index.listed_by.get(&group).cloned().unwrap_or_default();
                let lists_back =
                    |class: &u32| match self.refinement.classes.get(*class).keys[policy] {
                        Some(Key::Peer { group, .. }) => sets[listed].binary_search(&group).is_ok(),
                        Some(Key::Outside { .. }) => relay.egress == Egress::Stack,
                        Some(Key::Host) | None => false,
                    };
                row.lists = candidates.iter().filter(lists_back).collect();
                row.host = index.host.clone();
                row.rules = self.rules(policy, sides);
            }
            Some(Key::Outside { listed }) if relay.egress == Egress::Stack && !relay.fence => {
                let of_groups = sets[listed].iter().filter_map(|group| index.of_group.get(group));
                row.lists = of_groups.fold(Bits::default(), |sum, more| sum.union(more));
            }
            Some(Key::Outside { .. }) => {}
        }
        row
    }

    /// With whom each rule that has not ended lets something begin.
    fn rules(&self, policy: usize, sides: usize) -> Vec<(usize, Bits)> {
        let Index { from, to, has_ended, .. } = &self.indexes[policy];
        let Policy { sources, space } = &self.refinement.policies[policy];
        let rules = &sources.relay.rules;
        let mut found: Vec<(usize, Bits)> = Vec::new();
        for &side in &space.sides[sides] {
            let (rule, with) = match rule_of(side) {
                (rule, End::From) => (rule, &to[rule]),
                (rule, End::To) if rules[rule].both_ways => (rule, &from[rule]),
                (_, End::To) => continue,
            };
            if has_ended[rule] {
                continue;
            }
            match found.last_mut() {
                Some((last, all)) if *last == rule => *all = all.union(with),
                Some(_) | None => found.push((rule, with.clone())),
            }
        }
        found
    }
}

impl Index {
    fn of(refinement: &Refinement<'_>, policy: usize, now: u64) -> Self {
        let Policy { sources, space } = &refinement.policies[policy];
        let rules = &sources.relay.rules;
        let mut index = Self {
            of_group: HashMap::new(),
            listed_by: HashMap::new(),
            from: vec![Bits::default(); rules.len()],
            to: vec![Bits::default(); rules.len()],
            host: Bits::default(),
            has_ended: rules.iter().map(|rule| rule.has_ended(now)).collect(),
        };
        for (number, class) in (0..).zip(refinement.classes.values()) {
            let listed = match class.keys[policy] {
                None => continue,
                Some(Key::Host) => {
                    index.host.insert(number);
                    continue;
                }
                Some(Key::Outside { listed }) => listed,
                Some(Key::Peer { group, listed, sides }) => {
                    index.of_group.entry(group).or_default().insert(number);
                    for &side in &space.sides[sides] {
                        match rule_of(side) {
                            (rule, End::From) => index.from[rule].insert(number),
                            (rule, End::To) => index.to[rule].insert(number),
                        }
                    }
                    listed
                }
            };
            for group in &space.sets[listed] {
                index.listed_by.entry(*group).or_default().insert(number);
            }
        }
        index
    }
}

fn twins(rules: [&[Rule]; 2], indexes: &[Index; 2]) -> [Vec<Option<Twin>>; 2] {
    [0, 1].map(|policy: usize| {
        let (own, other) = (&indexes[policy], &indexes[1 - policy]);
        let named: HashMap<_, _> =
            rules[1 - policy].iter().enumerate().map(|(place, rule)| (&rule.name, place)).collect();
        let twin = |(place, rule): (usize, &Rule)| {
            let found = *named.get(&rule.name)?;
            let twin = &rules[1 - policy][found];
            let is_same = ServiceSet::of(&rule.services) == ServiceSet::of(&twin.services)
                && (rule.both_ways, rule.until) == (twin.both_ways, twin.until);
            is_same.then(|| Twin {
                rule: found,
                is_from_same: own.from[place] == other.from[found],
                is_to_same: own.to[place] == other.to[found],
            })
        };
        rules[policy].iter().enumerate().map(twin).collect()
    })
}
