//! Whom rules and tests are about, by what peers own: errors if it is nobody, and warnings.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    fault::Fault,
    findings::Findings,
    place::Located,
    prefix::short,
    selector::Named,
    table::List,
    tables::{RuleTable, Tables, TestTable},
};
use crate::model::{Coverage, End, Expectation, Relay, Rule, Selector, Sides, Span, Territory};

const REMOVE_RULE: &str = "or remove the rule";

/// A relay with an index of what its peers own and its rules cover.
pub(super) struct Covered<'t> {
    pub(super) relay: &'t Relay,
    pub(super) tables: &'t Tables,
    pub(super) territory: Territory,
    pub(super) sides: Sides,
}

impl<'t> Covered<'t> {
    pub(super) fn of(relay: &'t Relay, tables: &'t Tables) -> Self {
        let territory = Territory::of(relay);
        let sides = Sides::of(relay, &territory);
        Self { relay, tables, territory, sides }
    }

    /// Reports rules and tests that are about nobody. What a switched-off peer or an empty group
    /// causes is a warning: that may be over soon.
    pub(super) fn check(&self, errors: &mut Findings, warnings: &mut Findings) {
        for (number, table) in self.tables.rules.iter().enumerate() {
            self.check_rule(number, table, errors, warnings);
        }
        for (test, table) in self.relay.tests.iter().zip(&self.tables.tests) {
            self.check_test(test, table, errors, warnings);
        }
    }

    /// Warns about entries of groups and rules that name nobody.
    pub(super) fn warn(&self, warnings: &mut Findings) {
        for (group, entry) in self.relay.groups.iter().zip(&self.tables.groups) {
            if group.members.is_empty() {
                let fault = Fault::new("has no peers", "add peers, or remove the group");
                warnings.present(entry.name.place, format!("groups.{}", group.name), fault);
            }
        }
        for (rule, table) in self.relay.rules.iter().zip(&self.tables.rules) {
            for (key, list) in [("from", &table.from), ("to", &table.to)] {
                for Located { value, place } in &list.items {
                    if let Named::Prefix(net) = value
                        && self.is_nobodys(*net)
                    {
                        let remedy = "remove it, or give a peer an address in it";
                        let fault = Fault::new(format!("{} covers no peer", short(net)), remedy);
                        warnings.present(*place, format!("{}.{key}", table.label), fault);
                    }
                }
            }
            self.warn_of_exceptions(rule, table, warnings);
        }
    }

    /// The peers of a side that are enabled, or all.
    fn peers<'c>(
        &self,
        side: &'c Coverage,
        enabled: bool,
    ) -> impl Iterator<Item = usize> + use<'c, '_, 't> {
        side.peers().filter(move |&peer| !enabled || self.relay.peers[peer].enabled)
    }

    /// Whether a rule is about two different peers in some address family.
    fn has_pair(&self, number: usize, enabled: bool) -> bool {
        let [from, to] = self.sides.of_rules()[number];
        [true, false].into_iter().any(|is_v4| {
            let some = |side| self.peers(self.sides.side(side, is_v4), enabled).take(2).collect();
            let (from, to): (Vec<_>, Vec<_>) = (some(from), some(to));
            !from.is_empty() && !to.is_empty() && (from.len() > 1 || to.len() > 1 || from != to)
        })
    }

    fn check_rule(
        &self,
        number: usize,
        table: &RuleTable,
        errors: &mut Findings,
        warnings: &mut Findings,
    ) {
        if self.has_pair(number, true) {
            return;
        }
        let rule = &self.relay.rules[number];
        let [from, to] = self.sides.of_rules()[number];
        let mut is_reported = false;
        for (key, side, selectors, list) in
            [("from", from, &rule.from, &table.from), ("to", to, &rule.to, &table.to)]
        {
            let families = [true, false].map(|is_v4| self.sides.side(side, is_v4));
            if families.iter().all(|side| side.peers().next().is_none()) {
                let (fault, is_error) = self.why_nobody(selectors);
                let findings = if is_error { &mut *errors } else { &mut *warnings };
                report(table, key, list, fault, findings);
                is_reported = true;
            } else if families.iter().all(|side| self.peers(side, true).next().is_none()) {
                let fault = Fault::new(
                    "covers nobody while its peers are disabled",
                    format!("enable one, {REMOVE_RULE}"),
                );
                report(table, key, list, fault, warnings);
                is_reported = true;
            }
        }
        if is_reported {
            return;
        }
        if self.has_pair(number, false) {
            let fault = Fault::new(
                "covers nobody while its other peers are disabled",
                format!("enable one, {REMOVE_RULE}"),
            );
            report(table, "to", &table.to, fault, warnings);
            return;
        }
        let share_family = [true, false].into_iter().any(|is_v4| {
            [from, to].iter().all(|side| self.sides.side(*side, is_v4).peers().next().is_some())
        });
        let fault = match share_family {
            true => Fault::new(
                "covers the same peer as from alone, and nothing passes from a peer to itself",
                format!("name another peer, {REMOVE_RULE}"),
            ),
            false => Fault::new(
                "has no address family in common with from",
                format!("give both sides addresses of one family, {REMOVE_RULE}"),
            ),
        };
        report(table, "to", &table.to, fault, errors);
    }

    /// Why a side covers nobody, and whether that is an error.
    fn why_nobody(&self, side: &[Selector]) -> (Fault, bool) {
        let without = |is_v4| Coverage::of(self.relay, &self.territory, side, &[], is_v4);
        if [true, false].into_iter().any(|is_v4| !without(is_v4).addresses.is_empty()) {
            let problem = "covers nobody, because except takes everything out of it";
            return (Fault::new(problem, format!("remove entries of except, {REMOVE_RULE}")), true);
        }
        let empty = side.iter().find_map(|selector| match selector {
            Selector::Group(group) => Some(&self.relay.groups[*group].name),
            Selector::Any | Selector::Peer(_) | Selector::Prefix(_) => None,
        });
        let prefix = side.iter().find_map(|selector| match selector {
            Selector::Prefix(net) => Some(net),
            Selector::Any | Selector::Peer(_) | Selector::Group(_) => None,
        });
        match (prefix, empty) {
            (Some(net), _) => {
                let problem = format!("covers nobody: no peer owns anything of {}", short(net));
                let remedy = format!("write what peers own (address, routes), {REMOVE_RULE}");
                (Fault::new(problem, remedy), true)
            }
            (None, Some(group)) => {
                let problem = format!("covers nobody: group {group} has no peers");
                (Fault::new(problem, format!("add peers to the group, {REMOVE_RULE}")), false)
            }
            (None, None) => {
                let problem = "covers nobody: there are no peers";
                (Fault::new(problem, format!("add peers, {REMOVE_RULE}")), false)
            }
        }
    }

    fn is_nobodys(&self, net: IpNet) -> bool {
        self.territory.within(Span::of(&net), net.addr().is_ipv4()).next().is_none()
    }

    /// Warns about exceptions of which neither side has anything.
    fn warn_of_exceptions(&self, rule: &Rule, table: &RuleTable, warnings: &mut Findings) {
        if rule.except.is_empty() {
            return;
        }
        let raw = [true, false].map(|is_v4| {
            let both = [&rule.from[..], &rule.to[..]].concat();
            Coverage::of(self.relay, &self.territory, &both, &[], is_v4).addresses
        });
        for (selector, named) in rule.except.iter().zip(&table.except.items) {
            let takes = |is_v4: bool| {
                let out = [*selector];
                let out = Coverage::of(self.relay, &self.territory, &out, &[], is_v4).addresses;
                raw[usize::from(!is_v4)].intersects(&out)
            };
            if !takes(true) && !takes(false) {
                let fault = Fault::new("takes nothing out of from and to", "remove it");
                warnings.present(named.place, format!("{}.except", table.label), fault);
            }
        }
    }

    fn check_test(
        &self,
        test: &Expectation,
        table: &TestTable,
        errors: &mut Findings,
        warnings: &mut Findings,
    ) {
        let [from, to] = [test.from, test.to].map(|end| self.end(end));
        for (key, located) in table.ends() {
            let end = if key == "from" { test.from } else { test.to };
            let End::Address(address) = end else { continue };
            if self.territory.owner(address).is_none() {
                let is_relays = self.relay.addresses.iter().any(|own| own.addr() == address);
                let problem = match is_relays {
                    true => format!("{address} is the relay's own address"),
                    false => format!("no peer owns {address}"),
                };
                let remedy = "name a peer, or write an address that a peer owns";
                errors.present(located.place, format!("test.{key}"), Fault::new(problem, remedy));
            }
        }
        let (Some(from), Some(to), Some(at)) = (from, to, &table.to) else { return };
        let name = |peer: usize| &self.relay.peers[peer].name;
        if from.0 == to.0 {
            if table.from.as_ref().is_some_and(|from| from.value != at.value) {
                let problem = format!("belongs to {}, as from does", name(to.0));
                errors.present(at.place, "test.to", Fault::new(problem, "name another peer"));
            }
        } else if !from.1.iter().any(|one| to.1.iter().any(|it| it.is_ipv4() == one.is_ipv4())) {
            let problem = "has no address family in common with from";
            let remedy = "test between peers that have addresses of one family";
            errors.present(at.place, "test.to", Fault::new(problem, remedy));
        }
        for (peer, key) in [(from.0, "from"), (to.0, "to")] {
            let place = table.ends().find(|(end, _)| *end == key).map(|(_, end)| end.place);
            if let (false, Some(place)) = (self.relay.peers[peer].enabled, place) {
                let problem = format!("{} is disabled, so that the test is left out", name(peer));
                let remedy = "enable it, or remove the test";
                warnings.present(place, format!("test.{key}"), Fault::new(problem, remedy));
            }
        }
    }

    /// The peer of an end of a test, and the addresses that are tried.
    fn end(&self, end: End) -> Option<(usize, Vec<IpAddr>)> {
        match end {
            End::Peer(peer) => Some((peer, self.relay.peers[peer].addresses.clone())),
            End::Address(address) => Some((self.territory.owner(address)?, vec![address])),
        }
    }
}

fn report(table: &RuleTable, key: &str, list: &List<Named>, fault: Fault, findings: &mut Findings) {
    let place = list.items.first().map_or(table.place, |first| first.place);
    findings.present(place, format!("{}.{key}", table.label), fault);
}
