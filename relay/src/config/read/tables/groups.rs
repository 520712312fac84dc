use toml::de::DeTable;

use crate::{
    config::read::{
        findings::Findings,
        keys::GROUPS,
        place::{Located, Place},
        selector::{self, Member},
        shown::shown_key,
        table::{List, TableReader},
        value,
    },
    model::GroupName,
};

/// One key of `[groups]`, as written.
pub(in crate::config::read) struct GroupEntry {
    pub(in crate::config::read) name: Located<GroupName>,
    pub(in crate::config::read) members: List<Member>,
}

/// The groups, in the order of the text.
pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Vec<GroupEntry> {
    let mut groups = Vec::new();
    for key in table.keys() {
        let place = Place { offset: key.span().start, ..place };
        match value::group_name(key.get_ref()) {
            Ok(value) => groups.push(Located { value, place }),
            Err(fault) => {
                findings.present(place, format!("groups.{}", shown_key(key.get_ref())), fault);
            }
        }
    }
    groups.sort_by_key(|group| group.place);
    let mut reader = TableReader::new(table, place, "groups", &GROUPS, findings);
    let entry = |name: Located<GroupName>| {
        let members =
            reader.list(name.value.as_str(), selector::member).unwrap_or_else(List::wrong);
        GroupEntry { name, members }
    };
    groups.into_iter().map(entry).collect()
}
