use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeTable;

use crate::{
    config::read::{
        endpoint,
        fault::Fault,
        findings::Findings,
        keys::RELAY,
        place::{Located, Place},
        prefix,
        shown::shown,
        table::{List, TableReader},
        value,
    },
    model::{Egress, HostAccess, InterfaceName},
};

/// `[relay]`, as written. `None`: absent, or wrong and reported.
pub(in crate::config::read) struct RelayTable {
    pub(in crate::config::read) interface: Option<Located<InterfaceName>>,
    pub(in crate::config::read) addresses: List<IpNet>,
    pub(in crate::config::read) listen_port: Option<Located<u16>>,
    pub(in crate::config::read) endpoint: Option<Located<String>>,
    pub(in crate::config::read) private_key_file: Option<Located<PathBuf>>,
    pub(in crate::config::read) mtu: Option<Located<u16>>,
    pub(in crate::config::read) fast_path: Option<Located<bool>>,
    pub(in crate::config::read) host_access: Option<HostAccess>,
    pub(in crate::config::read) egress: Option<Located<Egress>>,
    pub(in crate::config::read) fence: Option<Located<bool>>,
    pub(in crate::config::read) pair_stats: Option<Located<bool>>,
}

impl RelayTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let mut reader = TableReader::new(table, place, "relay", &RELAY, findings);
        Self {
            interface: reader.text("interface", value::interface_name),
            addresses: reader.some(
                "address",
                prefix::overlay_address,
                "write at least one address",
            ),
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
