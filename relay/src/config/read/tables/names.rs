use std::net::IpAddr;

use toml::de::DeTable;

use crate::config::read::{
    dns,
    findings::Findings,
    keys::NAMES,
    place::{Located, Place},
    table::{List, TableReader},
};

/// `[names]`, as written.
pub(in crate::config::read) struct NamesTable {
    pub(in crate::config::read) place: Place,
    pub(in crate::config::read) zone: Option<Located<String>>,
    pub(in crate::config::read) forward: List<IpAddr>,
}

impl NamesTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "names", &NAMES, findings);
        Self {
            place,
            zone: reader.text("zone", dns::zone),
            forward: reader.list("forward", dns::resolver).unwrap_or_default(),
        }
    }
}
