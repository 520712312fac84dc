//! Warnings about rules that add nothing.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    covered::Covered,
    fault::Fault,
    findings::Findings,
    place::{Files, Located},
    tables::RuleTable,
};
use crate::model::{Coverage, Lists, Rule, Selector, Services, Spans};

pub(super) fn warn(covered: &Covered<'_>, files: &Files<'_>, warnings: &mut Findings) {
    repeated(covered, files, warnings);
    let open = Open::of(covered);
    for (number, table) in covered.tables.rules.iter().enumerate() {
        nested_services(table, warnings);
        if let Some(name) = &table.name
            && open.has_all(number)
        {
            let problem = "adds nothing: all its pairs are open by allowed_ips already";
            let remedy = "remove the rule, or the entries of allowed_ips that open its pairs";
            let key = format!("{}.name", table.label);
            warnings.present(name.place, key, Fault::new(problem, remedy));
        }
    }
}

/// What a rule says, in an order that does not depend on how it is written.
type Meaning = ([Vec<Selector>; 3], Vec<Services>, bool, Option<u64>);

fn meaning(rule: &Rule) -> Meaning {
    let sorted = |list: &[Selector]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let mut sides = [sorted(&rule.from), sorted(&rule.to)];
    if rule.both_ways {
        sides.sort_unstable();
    }
    let [from, to] = sides;
    let mut services = rule.services.clone();
    services.sort_unstable();
    ([from, to, sorted(&rule.except)], services, rule.both_ways, rule.until)
}

fn repeated(covered: &Covered<'_>, files: &Files<'_>, warnings: &mut Findings) {
    let mut first = HashMap::new();
    for (rule, table) in covered.relay.rules.iter().zip(&covered.tables.rules) {
        match first.entry(meaning(rule)) {
            Entry::Vacant(new) => {
                new.insert(table);
            }
            Entry::Occupied(known) => {
                let RuleTable { label, place, .. } = known.get();
                let problem = format!("says the same as {label} ({})", files.file_and_line(*place));
                let place = table.name.as_ref().map_or(table.place, |name| name.place);
                let fault = Fault::new(problem, "remove one");
                warnings.present(place, format!("{}.name", table.label), fault);
            }
        }
    }
}

fn nested_services(table: &RuleTable, warnings: &mut Findings) {
    let services = &table.services.items;
    for Located { value, place } in services {
        let around =
            services.iter().find(|other| other.value != *value && is_in(value, &other.value));
        if let Some(around) = around {
            let problem = format!("{value} is part of {}", around.value);
            let fault = Fault::new(problem, "remove it");
            warnings.present(*place, format!("{}.ports", table.label), fault);
        }
    }
}

fn is_in(inner: &Services, outer: &Services) -> bool {
    match (inner, outer) {
        (
            Services::Ports { transport, first, last },
            Services::Ports { transport: of, first: from, last: to },
        ) => transport == of && from <= first && last <= to,
        (Services::Echo, Services::Icmp) => true,
        (Services::Ports { .. } | Services::Echo | Services::Icmp | Services::Protocol(_), _) => {
            false
        }
    }
}

/// What the lists of peers open.
struct Open<'c, 't> {
    covered: &'c Covered<'t>,
    lists: Lists,
}

impl<'c, 't> Open<'c, 't> {
    fn of(covered: &'c Covered<'t>) -> Self {
        Self { covered, lists: Lists::of(covered.relay) }
    }

    /// Whether lists open every pair of a rule, of which there are some.
    fn has_all(&self, rule: usize) -> bool {
        let [from, to] = self.covered.sides.of_rules()[rule];
        let mut has_pair = false;
        for is_v4 in [true, false] {
            let [from, to] = [from, to].map(|side| self.covered.sides.side(side, is_v4));
            if from.addresses.is_empty() || to.addresses.is_empty() {
                continue;
            }
            has_pair = true;
            if !self.hold(from, to, is_v4) || !self.hold(to, from, is_v4) {
                return false;
            }
        }
        has_pair
    }

    /// Whether the list of each peer of one side holds the other side, without what it owns itself.
    fn hold(&self, side: &Coverage, other: &Coverage, is_v4: bool) -> bool {
        let mut lacks: HashMap<usize, Spans> = HashMap::new();
        side.peers().all(|peer| {
            let list = self.lists.of_peer(peer);
            let lacks = lacks
                .entry(list)
                .or_insert_with(|| other.addresses.without(self.lists.spans(list, is_v4)));
            lacks.is_empty()
                || lacks.without(self.covered.territory.of_peer(peer, is_v4)).is_empty()
        })
    }
}
