use toml::de::DeTable;

use crate::{
    config::read::{
        findings::Findings,
        keys::RULE,
        place::{Located, Place},
        selector::{Named, named},
        services::services,
        table::{List, TableReader},
        value,
    },
    model::{RuleName, Services},
};

/// One `[[rule]]`, as written.
pub(in crate::config::read) struct RuleTable {
    /// What problems call it: `rule.NAME`, or `rule` without a valid name.
    pub(in crate::config::read) label: String,
    pub(in crate::config::read) place: Place,
    pub(in crate::config::read) name: Option<Located<RuleName>>,
    pub(in crate::config::read) description: Option<Located<String>>,
    pub(in crate::config::read) from: List<Named>,
    pub(in crate::config::read) to: List<Named>,
    pub(in crate::config::read) except: List<Named>,
    pub(in crate::config::read) services: List<Services>,
    pub(in crate::config::read) both_ways: Option<Located<bool>>,
    pub(in crate::config::read) until: Option<Located<u64>>,
}

impl RuleTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        let name = name.and_then(|name| value::rule_name(name).ok());
        let label = name.map_or_else(|| "rule".to_owned(), |name| format!("rule.{name}"));
        let mut reader = TableReader::new(table, place, &label, &RULE, findings);
        let someone = "write at least one peer, group or network, or \"any\"";
        let rule = Self {
            label: String::new(),
            place,
            name: reader.text("name", value::rule_name),
            description: reader.text("description", value::description),
            from: reader.some("from", named, someone),
            to: reader.some("to", named, someone),
            except: reader.list("except", named).unwrap_or_default(),
            services: ports(&mut reader),
            both_ways: reader.boolean("both_ways"),
            until: reader.instant("until"),
        };
        Self { label, ..rule }
    }

    /// Its sides, and what is taken out of both, each with its key.
    pub(in crate::config::read) fn sides(&self) -> [(&'static str, &List<Named>); 3] {
        [("from", &self.from), ("to", &self.to), ("except", &self.except)]
    }
}

/// Without the key everything; an empty list is an error, not the same.
fn ports(reader: &mut TableReader<'_, '_>) -> List<Services> {
    match reader.value("ports") {
        None => List::default(),
        Some(_) => {
            let remedy = "write services such as \"tcp/22\", or leave ports out for everything";
            reader.some("ports", services, remedy)
        }
    }
}
