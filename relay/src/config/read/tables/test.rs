use toml::de::DeTable;

use crate::{
    config::read::{
        fault::Fault,
        findings::Findings,
        keys::TEST,
        place::{Located, Place},
        selector::{NamedEnd, end},
        services::service,
        table::{List, TableReader},
    },
    model::Service,
};

/// One `[[test]]`, as written.
pub(in crate::config::read) struct TestTable {
    pub(in crate::config::read) from: Option<Located<NamedEnd>>,
    pub(in crate::config::read) to: Option<Located<NamedEnd>>,
    pub(in crate::config::read) allow: List<Service>,
    pub(in crate::config::read) deny: List<Service>,
}

impl TestTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "test", &TEST, findings);
        let test = Self {
            from: reader.text("from", end),
            to: reader.text("to", end),
            allow: reader.list("allow", service).unwrap_or_else(|| wrong(table, "allow")),
            deny: reader.list("deny", service).unwrap_or_else(|| wrong(table, "deny")),
        };
        let asks = |list: &List<Service>| !list.items.is_empty() || !list.complete;
        if !asks(&test.allow) && !asks(&test.deny) {
            let remedy = "add allow = [\"tcp/22\"] or deny = [\"tcp/23\"]";
            findings.misplaced(place, "test", Fault::new("asks for nothing", remedy));
        }
        test
    }

    /// Its ends, each with its key.
    pub(in crate::config::read) fn ends(
        &self,
    ) -> impl Iterator<Item = (&'static str, &Located<NamedEnd>)> {
        let ends = [("from", &self.from), ("to", &self.to)];
        ends.into_iter().filter_map(|(key, end)| Some((key, end.as_ref()?)))
    }
}

/// Empty: complete if the key is absent.
fn wrong<T>(table: &DeTable<'_>, name: &str) -> List<T> {
    List { items: Vec::new(), complete: !table.contains_key(name) }
}
