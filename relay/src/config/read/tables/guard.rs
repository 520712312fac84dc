use toml::de::DeTable;

use crate::{
    config::read::{
        fault::Fault,
        findings::Findings,
        keys::GUARD,
        place::{Located, Place},
        table::{List, TableReader},
        value,
    },
    model::GuardMode,
};

/// `[guard]`, as written.
pub(in crate::config::read) struct GuardTable {
    pub(in crate::config::read) enabled: Option<Located<bool>>,
    /// `None`: `"auto"`.
    pub(in crate::config::read) interfaces: Option<List<String>>,
    pub(in crate::config::read) mode: Option<Located<GuardMode>>,
    pub(in crate::config::read) initiations_per_second: Option<Located<u32>>,
    pub(in crate::config::read) burst: Option<Located<u32>>,
    pub(in crate::config::read) sources: Option<Located<u32>>,
}

impl GuardTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "guard", &GUARD, findings);
        Self {
            enabled: reader.boolean("enabled"),
            interfaces: underlay(&mut reader),
            mode: reader.text("mode", value::guard_mode),
            initiations_per_second: reader.number("initiations_per_second"),
            burst: reader.number("burst"),
            sources: reader.number("sources"),
        }
    }
}

/// A list of interfaces; `None` for `"auto"`.
fn underlay(reader: &mut TableReader<'_, '_>) -> Option<List<String>> {
    const NAME: &str = "interfaces";
    let value = reader.value(NAME)?;
    if value.get_ref().as_str() == Some("auto") {
        return None;
    }
    if !value.get_ref().is_array() && !value.get_ref().is_str() {
        reader.wrong_type(NAME, value, "\"auto\" or a list");
        return None;
    }
    let names = reader.list(NAME, value::underlay_interface)?;
    if names.items.is_empty() && names.complete {
        let remedy = "write \"auto\" or interfaces such as [\"eth0\"]; enabled = false turns the \
                      guard off";
        reader.report_key(NAME, Fault::new("is empty", remedy));
    }
    Some(names)
}
