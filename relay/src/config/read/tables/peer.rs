use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use toml::de::DeTable;

use crate::{
    config::read::{
        dns, endpoint,
        fault::Fault,
        findings::Findings,
        keys::{DEFAULTS, PEER},
        limit,
        place::{Located, Place},
        prefix,
        table::{List, TableReader},
        value,
    },
    model::{ClientRoutes, Dns, GroupName, PeerName, PublicKey, Quota, Rate},
};

/// `[defaults]`, as written.
#[derive(Default)]
pub(in crate::config::read) struct DefaultsTable {
    pub(in crate::config::read) persistent_keepalive: Option<Located<u16>>,
    pub(in crate::config::read) mtu: Option<Located<u16>>,
    pub(in crate::config::read) dns: Option<List<Dns>>,
    pub(in crate::config::read) allowed_ips: Option<List<IpNet>>,
    pub(in crate::config::read) client_allowed_ips: Option<Located<ClientRoutes>>,
    pub(in crate::config::read) limits: LimitKeys,
}

/// The limits of a table, as written: `None` where nothing is, `Some(None)` for `"unlimited"`.
#[derive(Default)]
pub(in crate::config::read) struct LimitKeys {
    pub(in crate::config::read) rate_from: Option<Option<Rate>>,
    pub(in crate::config::read) rate_to: Option<Option<Rate>>,
    pub(in crate::config::read) quota: Option<Option<Quota>>,
    pub(in crate::config::read) quota_from: Option<Option<Quota>>,
    pub(in crate::config::read) quota_to: Option<Option<Quota>>,
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
    pub(in crate::config::read) limits: LimitKeys,
    pub(in crate::config::read) groups: List<GroupName>,
    pub(in crate::config::read) persistent_keepalive: Option<Located<u16>>,
    pub(in crate::config::read) mtu: Option<Located<u16>>,
    pub(in crate::config::read) dns: Option<List<Dns>>,
    pub(in crate::config::read) endpoint: Option<Located<String>>,
    pub(in crate::config::read) own_endpoint: Option<Located<String>>,
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
            limits: LimitKeys::read(&mut reader),
        }
    }
}

impl PeerTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        let name = name.and_then(|name| value::peer_name(name).ok());
        let label = name.map_or_else(|| "peer".to_owned(), |name| name.as_str().to_owned());
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
            limits: LimitKeys::read(&mut reader),
            groups: reader.list("groups", value::group_name).unwrap_or_default(),
            persistent_keepalive: reader.number("persistent_keepalive"),
            mtu: reader.number("mtu"),
            dns: reader.list("dns", dns::dns),
            endpoint: reader.text("endpoint", endpoint::endpoint),
            own_endpoint: reader.text("own_endpoint", endpoint::endpoint),
        };
        Self { label, ..peer }
    }
}

impl LimitKeys {
    fn read(reader: &mut TableReader<'_, '_>) -> Self {
        let limits = Self {
            rate_from: reader.text("rate_from", limit::rate).map(|rate| rate.value),
            rate_to: reader.text("rate_to", limit::rate).map(|rate| rate.value),
            quota: reader.text("quota", limit::quota).map(|quota| quota.value),
            quota_from: reader.text("quota_from", limit::quota).map(|quota| quota.value),
            quota_to: reader.text("quota_to", limit::quota).map(|quota| quota.value),
        };
        let apart = [("quota_from", limits.quota_from), ("quota_to", limits.quota_to)];
        if limits.quota.flatten().is_some() {
            for (name, _) in apart.into_iter().filter(|(_, quota)| quota.flatten().is_some()) {
                let problem = "stands beside quota, which is for both directions together";
                let remedy = "remove one of the two";
                reader.report_key(name, Fault::new(problem, remedy));
            }
        }
        limits
    }
}
