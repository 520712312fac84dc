//! What has to go with the zone of `[names]`.

use super::{
    dns::{NAME_MAX, is_dns_name},
    fault::Fault,
    findings::Findings,
    place::Located,
    shown::shown,
    tables::{NamesTable, Tables},
};
use crate::model::{DNS_PORT, HostAccess, Port, Relay, Transport};

/// Reports resolvers that are the relay itself.
pub(super) fn check(tables: &Tables, findings: &mut Findings) {
    let (Some(relay), Some(names)) = (&tables.relay, &tables.names) else { return };
    for Located { value, place } in &names.forward.items {
        if relay.addresses.items.iter().any(|own| own.value.addr() == *value) {
            let problem = format!("{value} is the relay's own address, which asks itself");
            let fault = Fault::new(problem, "write the address of another resolver");
            findings.present(*place, "names.forward", fault);
        }
    }
}

/// Warns about names that nobody can ask for.
pub(super) fn warn(relay: &Relay, tables: &Tables, warnings: &mut Findings) {
    let Some(NamesTable { place, zone: Some(zone), .. }) = &tables.names else { return };
    let closed = closed(&relay.host_access);
    if !closed.is_empty() {
        let ports = closed.join(" and ");
        let quoted: Vec<_> = closed.iter().map(|port| format!("\"{port}\"")).collect();
        let problem = format!("peers cannot ask for names: host_access lacks {ports}");
        let remedy = format!("add {} to host_access in [relay]", quoted.join(" and "));
        warnings.present(zone.place, "names.zone", Fault::new(problem, remedy));
    }
    let asks = |peer: &crate::model::Peer| relay.asked_by(peer).next().is_some();
    if tables.names.as_ref().is_some_and(|names| names.forward.items.is_empty())
        && let Some(peer) = relay.peers.iter().find(|peer| asks(peer))
    {
        let problem = format!(
            "is missing, and clients that ask only the relay, such as that of {}, find no other name",
            peer.name
        );
        let remedy = "add forward = [\"192.0.2.53\"] with resolvers of yours, or dns to the peers or \
                      [defaults]";
        warnings.present(*place, "names.forward", Fault::new(problem, remedy));
    }
    for table in &tables.peers {
        let Some(name) = &table.name else { continue };
        let whole = format!("{}.{}", name.value, zone.value);
        if !is_dns_name(&whole) {
            let problem = match whole.len() > NAME_MAX {
                true => format!("is longer than {NAME_MAX} characters with the zone"),
                false => format!("makes no domain name: {}", shown(&whole)),
            };
            let fault = Fault::new(
                format!("{problem}, so that nobody can ask for it"),
                format!("rename the peer with `relay peer rename {}`", name.value),
            );
            warnings.present(name.place, format!("{}.name", table.label), fault);
        }
    }
}

/// The ports of DNS that peers cannot reach on the relay.
fn closed(access: &HostAccess) -> Vec<String> {
    let ports = [Transport::Udp, Transport::Tcp]
        .map(|transport| Port { transport, number: DNS_PORT })
        .into_iter();
    let is_open = |port: &Port| match access {
        HostAccess::All => true,
        HostAccess::None | HostAccess::Ping => false,
        HostAccess::Ports(open) => open.contains(port),
    };
    ports.filter(|port| !is_open(port)).map(|port| port.to_string()).collect()
}
