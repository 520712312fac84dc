//! The tables of the file, each with its keys.

mod groups;
mod guard;
mod mesh;
mod names;
mod peer;
mod relay;
mod rule;
mod test;
mod webhook;

pub(super) use groups::GroupEntry;
pub(super) use guard::GuardTable;
pub(super) use mesh::{MeshRelayTable, MeshTable};
pub(super) use names::NamesTable;
pub(super) use peer::{DefaultsTable, LimitKeys, PeerTable};
pub(super) use relay::RelayTable;
pub(super) use rule::RuleTable;
pub(super) use test::TestTable;
pub(super) use webhook::WebhookTable;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::Fault,
    findings::Findings,
    keys::{GROUPS, PEER, RULE, TABLES, TEST, Table, WEBHOOK},
    place::Place,
    shown::shown_key,
    unknown::unknown,
};

/// All files, as written, in their order.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) relay: Option<RelayTable>,
    pub(super) guard: Option<GuardTable>,
    pub(super) names: Option<NamesTable>,
    pub(super) mesh: Option<MeshTable>,
    pub(super) defaults: DefaultsTable,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) peers: Vec<PeerTable>,
    pub(super) rules: Vec<RuleTable>,
    pub(super) tests: Vec<TestTable>,
    pub(super) webhooks: Vec<WebhookTable>,
    /// Whether something under `peer` is not a table.
    pub(super) peer_invalid: bool,
}

/// What fragments may hold.
const IN_FRAGMENTS: [&str; 4] = [PEER.name, GROUPS.name, RULE.name, TEST.name];

impl Tables {
    /// Adds the tables of one file. File 0 is the main one; fragments hold peers, groups, rules and tests.
    pub(super) fn read_file(&mut self, file: usize, root: &DeTable<'_>, findings: &mut Findings) {
        let main = file == 0;
        for (key, value) in root {
            let key_place = Place { file, offset: key.span().start };
            let place = Place { file, offset: value.span().start };
            match key.get_ref().as_ref() {
                name @ ("relay" | "guard" | "names" | "mesh" | "defaults" | "webhook") if !main => {
                    let problem = "is not allowed in a fragment, which holds [groups], [[peer]], [[rule]] \
                                   and [[test]] only";
                    let mut headers = TABLES.iter().filter(|table| table.name == name);
                    let header = headers.next().map_or(name, |table| table.header);
                    let remedy = format!("move {header} to the main file");
                    findings.present(key_place, name, Fault::new(problem, remedy));
                }
                "relay" => {
                    if let Some(table) = single(value, "relay", place, findings) {
                        self.relay = Some(RelayTable::read(table, place, findings));
                    }
                }
                "guard" => {
                    if let Some(table) = single(value, "guard", place, findings) {
                        self.guard = Some(GuardTable::read(table, place, findings));
                    }
                }
                "names" => {
                    if let Some(table) = single(value, "names", place, findings) {
                        self.names = Some(NamesTable::read(table, place, findings));
                    }
                }
                "mesh" => {
                    if let Some(table) = single(value, "mesh", place, findings) {
                        self.mesh = Some(MeshTable::read(table, place, findings));
                    }
                }
                "defaults" => {
                    if let Some(table) = single(value, "defaults", place, findings) {
                        self.defaults = DefaultsTable::read(table, place, findings);
                    }
                }
                "groups" => {
                    if let Some(table) = single(value, "groups", place, findings) {
                        self.groups.extend(groups::read(table, place, findings));
                    }
                }
                "peer" => {
                    let peers = &mut self.peers;
                    let is_valid = each(value, &PEER, file, findings, |table, place, findings| {
                        peers.push(PeerTable::read(table, place, findings));
                    });
                    self.peer_invalid |= !is_valid;
                }
                "rule" => {
                    each(value, &RULE, file, findings, |table, place, findings| {
                        self.rules.push(RuleTable::read(table, place, findings));
                    });
                }
                "test" => {
                    each(value, &TEST, file, findings, |table, place, findings| {
                        self.tests.push(TestTable::read(table, place, findings));
                    });
                }
                "webhook" => {
                    each(value, &WEBHOOK, file, findings, |table, place, findings| {
                        self.webhooks.push(WebhookTable::read(table, place, findings));
                    });
                }
                name => {
                    let mut tables =
                        TABLES.into_iter().filter(|it| main || IN_FRAGMENTS.contains(&it.name));
                    let names: Vec<_> = tables.clone().map(|table| table.name).collect();
                    match tables.find(|table| table.key(name).is_some()) {
                        Some(table) => {
                            let remedy = format!("move it below {}", table.header);
                            let fault = Fault::new("is above all tables", remedy);
                            findings.misplaced(key_place, name, fault);
                        }
                        None => {
                            let fault = unknown(name, "the file", &names);
                            findings.present(key_place, shown_key(name), fault);
                        }
                    }
                }
            }
        }
        if main && !root.contains_key("relay") {
            let remedy = "add [relay] with the relay's address, such as \"10.3.2.1/24\"";
            let place = Place { file, offset: 0 };
            findings.misplaced(place, "relay", Fault::new("is missing", remedy));
        }
    }
}

/// Reads each table of a list of tables. `false` if something else is among them.
fn each(
    value: &Spanned<DeValue<'_>>,
    keys: &Table,
    file: usize,
    findings: &mut Findings,
    mut read: impl FnMut(&DeTable<'_>, Place, &mut Findings),
) -> bool {
    let remedy = || format!("write {} above each {}", keys.header, keys.name);
    let Some(array) = value.get_ref().as_array() else {
        let place = Place { file, offset: value.span().start };
        findings.present(place, keys.name, Fault::new("is not a list of tables", remedy()));
        return false;
    };
    let mut is_valid = true;
    for element in array.iter() {
        let place = Place { file, offset: element.span().start };
        match element.get_ref().as_table() {
            Some(table) => read(table, place, findings),
            None => {
                is_valid = false;
                findings.present(place, keys.name, Fault::new("is not a table", remedy()));
            }
        }
    }
    is_valid
}

fn single<'t>(
    value: &'t Spanned<DeValue<'t>>,
    name: &str,
    place: Place,
    findings: &mut Findings,
) -> Option<&'t DeTable<'t>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        let fault = Fault::new("must be one table", format!("write [{name}] once"));
        findings.present(place, name, fault);
    }
    table
}
