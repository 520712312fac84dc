use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use toml::de::DeTable;

use crate::{
    config::read::{
        dns, endpoint,
        findings::Findings,
        keys::{DEFAULTS, PEER},
        place::{Located, Place},
        prefix,
        table::{List, TableReader},
        value,
    },
    model::{ClientRoutes, Dns, GroupName, PeerName, PublicKey},
};

/// `[defaults]`, as written.
#[derive(Default)]
pub(in crate::config::read) struct DefaultsTable {
    pub(in crate::config::read) persistent_keepalive: Option<Located<u16>>,
    pub(in crate::config::read) mtu: Option<Located<u16>>,
    pub(in crate::config::read) dns: Option<List<Dns>>,
    pub(in crate::config::read) allowed_ips: Option<List<IpNet>>,
    pub(in crate::config::read) client_allowed_ips: Option<Located<ClientRoutes>>,
}

/// One `[[peer]]`, as written.
pub(in crate::config::read) struct PeerTable {
    /// What problems call it: its name, or `peer` without a valid one.
    pub(in crate::config::read) label: String,
    pub(in crate::config::read) place: Place,
    pub(in crate::config::read) name: Option<Located<PeerName>>,
    pub(in crate::config::read) description: Option<Located<String>>,
    pub(in crate::config::read) enabled: Option<Located<bool>>,
    pub(in crate::config::read) public_key: Option<Located<PublicKey>>,
    pub(in crate::config::read) preshared_key_file: Option<Located<PathBuf>>,
    pub(in crate::config::read) addresses: List<IpAddr>,
    pub(in crate::config::read) routes: List<IpNet>,
    pub(in crate::config::read) allowed_ips: Option<List<IpNet>>,
    pub(in crate::config::read) groups: List<GroupName>,
    pub(in crate::config::read) persistent_keepalive: Option<Located<u16>>,
    pub(in crate::config::read) mtu: Option<Located<u16>>,
    pub(in crate::config::read) dns: Option<List<Dns>>,
    pub(in crate::config::read) endpoint: Option<Located<String>>,
}

impl DefaultsTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "defaults", &DEFAULTS, findings);
        Self {
            persistent_keepalive: reader.number("persistent_keepalive"),
            mtu: reader.number("mtu"),
            dns: reader.list("dns", dns::dns),
            allowed_ips: reader.list("allowed_ips", prefix::network),
            client_allowed_ips: reader.text("client_allowed_ips", value::client_routes),
        }
    }
}

impl PeerTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        let name = name.and_then(|name| value::peer_name(name).ok());
        let label = name.map_or_else(|| "peer".to_owned(), |name| name.to_string());
        let mut reader = TableReader::new(table, place, &label, &PEER, findings);
        let peer = Self {
            label: String::new(),
            place,
            name: reader.text("name", value::peer_name),
            description: reader.text("description", value::description),
            enabled: reader.boolean("enabled"),
            public_key: reader.text("public_key", value::public_key),
            preshared_key_file: reader.text("preshared_key_file", value::key_file),
            addresses: reader.some("address", prefix::address, "write at least one address"),
            routes: reader.list("routes", prefix::network).unwrap_or_default(),
            allowed_ips: reader.list("allowed_ips", prefix::network),
            groups: reader.list("groups", value::group_name).unwrap_or_default(),
            persistent_keepalive: reader.number("persistent_keepalive"),
            mtu: reader.number("mtu"),
            dns: reader.list("dns", dns::dns),
            endpoint: reader.text("endpoint", endpoint::endpoint),
        };
        Self { label, ..peer }
    }
}
