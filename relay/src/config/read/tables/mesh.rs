use std::path::PathBuf;

use toml::de::DeTable;

use super::each;
use crate::{
    config::read::{
        dns,
        findings::Findings,
        keys::{MESH, MESH_RELAY},
        place::{Located, Place},
        table::TableReader,
        value,
    },
    model::{PublicKey, RelayName},
};

/// `[mesh]`, as written.
pub(in crate::config::read) struct MeshTable {
    pub(in crate::config::read) place: Place,
    pub(in crate::config::read) name: Option<Located<RelayName>>,
    pub(in crate::config::read) port: Option<Located<u16>>,
    pub(in crate::config::read) private_key_file: Option<Located<PathBuf>>,
    pub(in crate::config::read) relays: Vec<MeshRelayTable>,
}

/// One `[[mesh.relay]]`, as written.
pub(in crate::config::read) struct MeshRelayTable {
    pub(in crate::config::read) label: String,
    pub(in crate::config::read) name: Option<Located<RelayName>>,
    pub(in crate::config::read) public_key: Option<Located<PublicKey>>,
    pub(in crate::config::read) host: Option<Located<String>>,
}

impl MeshTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "mesh", &MESH, findings);
        let (name, port) = (reader.text("name", value::relay_name), reader.number("port"));
        let private_key_file = reader.text("private_key_file", value::key_file);
        let mut relays = Vec::new();
        if let Some(value) = table.get("relay") {
            each(value, &MESH_RELAY, place.file, findings, |table, place, findings| {
                relays.push(MeshRelayTable::read(table, place, findings));
            });
        }
        Self { place, name, port, private_key_file, relays }
    }
}

impl MeshRelayTable {
    fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        let name = name.and_then(|name| value::relay_name(name).ok());
        let label =
            name.map_or_else(|| "mesh.relay".to_owned(), |name| format!("mesh.relay.{name}"));
        let mut reader = TableReader::new(table, place, &label, &MESH_RELAY, findings);
        let name = reader.text("name", value::relay_name);
        let public_key = reader.text("public_key", value::public_key);
        let host = reader.text("host", dns::host);
        Self { label, name, public_key, host }
    }
}
