//! The tables of the file: `[relay]`, `[guard]`, `[defaults]` and `[[peer]]`, each with its keys.

use std::{hash::Hash, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    dns, endpoint,
    fault::Fault,
    findings::Findings,
    keys::{DEFAULTS, GUARD, PEER, RELAY, TABLES},
    place::{Located, Place},
    prefix,
    shown::{shown, shown_key},
    table::{List, TableReader},
    unknown::unknown,
    value,
};
use crate::model::{Dns, Egress, GuardMode, HostAccess, InterfaceName, PeerName, PublicKey};

/// `[relay]`, as written. `None`: absent, or wrong and reported.
pub(super) struct RelayTable {
    pub(super) interface: Option<Located<InterfaceName>>,
    pub(super) addresses: List<IpNet>,
    pub(super) listen_port: Option<Located<u16>>,
    pub(super) endpoint: Option<Located<String>>,
    pub(super) private_key_file: Option<Located<PathBuf>>,
    pub(super) mtu: Option<Located<u16>>,
    pub(super) fast_path: Option<Located<bool>>,
    pub(super) host_access: Option<HostAccess>,
    pub(super) egress: Option<Located<Egress>>,
    pub(super) fence: Option<Located<bool>>,
    pub(super) pair_stats: Option<Located<bool>>,
}

/// `[guard]`, as written.
pub(super) struct GuardTable {
    pub(super) enabled: Option<Located<bool>>,
    /// `None`: `"auto"`.
    pub(super) interfaces: Option<List<String>>,
    pub(super) mode: Option<Located<GuardMode>>,
    pub(super) initiations_per_second: Option<Located<u32>>,
    pub(super) burst: Option<Located<u32>>,
    pub(super) sources: Option<Located<u32>>,
}

/// `[defaults]`, as written.
#[derive(Default)]
pub(super) struct DefaultsTable {
    pub(super) persistent_keepalive: Option<Located<u16>>,
    pub(super) mtu: Option<Located<u16>>,
    pub(super) dns: Option<List<Dns>>,
    pub(super) allowed_ips: Option<List<IpNet>>,
}

/// One `[[peer]]`, as written.
pub(super) struct PeerTable {
    /// What problems call it: its name, or `peer` without a valid one.
    pub(super) label: String,
    pub(super) place: Place,
    pub(super) name: Option<Located<PeerName>>,
    pub(super) description: Option<Located<String>>,
    pub(super) enabled: Option<Located<bool>>,
    pub(super) public_key: Option<Located<PublicKey>>,
    pub(super) preshared_key_file: Option<Located<PathBuf>>,
    pub(super) addresses: List<IpAddr>,
    pub(super) routes: List<IpNet>,
    pub(super) allowed_ips: Option<List<IpNet>>,
    pub(super) persistent_keepalive: Option<Located<u16>>,
    pub(super) mtu: Option<Located<u16>>,
    pub(super) dns: Option<List<Dns>>,
    pub(super) endpoint: Option<Located<String>>,
}

/// All files, as written, in their order.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) relay: Option<RelayTable>,
    pub(super) guard: Option<GuardTable>,
    pub(super) defaults: DefaultsTable,
    pub(super) peers: Vec<PeerTable>,
    /// Whether something under `peer` is not a table.
    pub(super) peer_invalid: bool,
}

impl Tables {
    /// Adds the tables of one file. File 0 is the main one; fragments hold peers only.
    pub(super) fn read_file(&mut self, file: usize, root: &DeTable<'_>, findings: &mut Findings) {
        let main = file == 0;
        for (key, value) in root {
            let key_place = Place { file, offset: key.span().start };
            let place = Place { file, offset: value.span().start };
            match key.get_ref().as_ref() {
                name @ ("relay" | "guard" | "defaults") if !main => {
                    let problem = "is not allowed in a fragment, which holds [[peer]] tables only";
                    let remedy = format!("move [{name}] to the main file");
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
                "defaults" => {
                    if let Some(table) = single(value, "defaults", place, findings) {
                        self.defaults = DefaultsTable::read(table, place, findings);
                    }
                }
                "peer" => self.read_peers(file, value, findings),
                name => {
                    let mut tables = TABLES.into_iter().filter(|it| main || it.name == PEER.name);
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

    fn read_peers(&mut self, file: usize, value: &Spanned<DeValue<'_>>, findings: &mut Findings) {
        let place = Place { file, offset: value.span().start };
        let Some(array) = value.get_ref().as_array() else {
            self.peer_invalid = true;
            let problem = "is not a list of tables";
            findings.present(place, "peer", Fault::new(problem, "write [[peer]] above each peer"));
            return;
        };
        for element in array.iter() {
            let place = Place { file, offset: element.span().start };
            match element.get_ref().as_table() {
                Some(table) => self.peers.push(PeerTable::read(table, place, findings)),
                None => {
                    self.peer_invalid = true;
                    let fault = Fault::new("is not a table", "write [[peer]] above each peer");
                    findings.present(place, "peer", fault);
                }
            }
        }
    }
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

impl RelayTable {
    fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "relay", &RELAY, findings);
        Self {
            interface: reader.text("interface", value::interface_name),
            addresses: listed(&mut reader, "address", prefix::overlay_address),
            listen_port: reader.number("listen_port"),
            endpoint: reader.text("endpoint", endpoint::endpoint),
            private_key_file: reader.text("private_key_file", value::key_file),
            mtu: reader.number("mtu"),
            fast_path: reader.boolean("fast_path"),
            host_access: host_access(&mut reader),
            egress: reader.text("egress", value::egress),
            fence: reader.boolean("fence"),
            pair_stats: reader.boolean("pair_stats"),
        }
    }
}

impl GuardTable {
    fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
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

impl DefaultsTable {
    fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "defaults", &DEFAULTS, findings);
        Self {
            persistent_keepalive: reader.number("persistent_keepalive"),
            mtu: reader.number("mtu"),
            dns: reader.list("dns", dns::dns),
            allowed_ips: reader.list("allowed_ips", prefix::network),
        }
    }
}

impl PeerTable {
    fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
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
            addresses: listed(&mut reader, "address", prefix::address),
            routes: reader.list("routes", prefix::network).unwrap_or_default(),
            allowed_ips: reader.list("allowed_ips", prefix::network),
            persistent_keepalive: reader.number("persistent_keepalive"),
            mtu: reader.number("mtu"),
            dns: reader.list("dns", dns::dns),
            endpoint: reader.text("endpoint", endpoint::endpoint),
        };
        Self { label, ..peer }
    }
}

/// A list that must not be empty. An absent or wrong one is incomplete.
fn listed<T: Clone + Eq + Hash>(
    reader: &mut TableReader<'_, '_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> List<T> {
    match reader.list(name, parse) {
        Some(list) if list.items.is_empty() && list.complete => {
            let remedy = "write at least one address";
            reader.report_key(name, Fault::new("is empty", remedy));
            List { complete: false, ..list }
        }
        Some(list) => list,
        None => List { items: Vec::new(), complete: false },
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

/// `"none"`, `"ping"`, `"all"`, or a list of ports.
fn host_access(reader: &mut TableReader<'_, '_>) -> Option<HostAccess> {
    const NAME: &str = "host_access";
    let value = reader.value(NAME)?;
    if value.get_ref().is_array() {
        let ports = reader.list(NAME, value::port)?;
        if ports.items.is_empty() && ports.complete {
            let remedy = "write \"none\", \"ping\", or ports such as [\"tcp/22\"]";
            reader.report_key(NAME, Fault::new("is empty", remedy));
        }
        return Some(HostAccess::Ports(ports.items.iter().map(|port| port.value).collect()));
    }
    if !value.get_ref().is_str() {
        reader.wrong_type(NAME, value, "a string or a list");
        return None;
    }
    let access = reader.text(NAME, |text| match text {
        "none" => Ok(HostAccess::None),
        "ping" => Ok(HostAccess::Ping),
        "all" => Ok(HostAccess::All),
        port if value::port(port).is_ok() => {
            let problem = "is a string, not a list";
            Err(Fault::new(problem, format!("write host_access = [{}]", shown(port))))
        }
        other => Err(Fault::new(
            format!("{} is not a value of host_access", shown(other)),
            "write \"none\", \"ping\", \"all\", or ports such as [\"tcp/22\", \"udp/53\"]",
        )),
    });
    access.map(|access| access.value)
}
