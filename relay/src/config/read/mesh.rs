//! What `[mesh]` must be as a whole.

use std::hash::Hash;

use super::{
    build::{INTERFACE, MESH_PORT as PORT},
    fault::Fault,
    findings::Findings,
    place::{Files, Located},
    tables::{MeshRelayTable, Tables},
};
use crate::model::{InterfaceName, RelayName};

pub(super) fn check(tables: &Tables, files: &Files<'_>, findings: &mut Findings) {
    let (Some(mesh), Some(relay)) = (&tables.mesh, &tables.relay) else { return };
    check_unique(&mesh.relays, files, findings, "name", |it| it.name.as_ref());
    check_unique(&mesh.relays, files, findings, "public_key", |it| it.public_key.as_ref());
    let names = || mesh.relays.iter().filter_map(|relay| relay.name.as_ref());
    if let Some(own) = &mesh.name
        && mesh.relays.iter().all(|relay| relay.name.is_some())
        && !names().any(|name| name.value == own.value)
    {
        let problem = format!("{} is none of the relays", own.value);
        let remedy = "write the name of one [[mesh.relay]], or leave name out";
        findings.present(own.place, "mesh.name", Fault::new(problem, remedy));
    }
    let interface = relay.interface.as_ref().map_or(INTERFACE, |it| it.value.as_str());
    for name in names() {
        check_interface(interface, name, findings);
    }
    check_ports(tables, findings);
    for peer in &tables.peers {
        let Some(key) = &peer.public_key else { continue };
        let of_relay =
            |it: &&MeshRelayTable| it.public_key.as_ref().is_some_and(|own| own.value == key.value);
        if let Some(relay) = mesh.relays.iter().find(of_relay) {
            let problem = format!("is already that of {}", relay.label);
            let fault = Fault::new(problem, "give each peer and each relay its own public key");
            findings.present(key.place, format!("{}.public_key", peer.label), fault);
        }
    }
    if let Some(fast_path) = relay.fast_path.as_ref().filter(|fast_path| !fast_path.value) {
        let problem = "is false, but the host's stack does not know at which relay a peer is";
        let fault = Fault::new(problem, "write fast_path = true, or remove [mesh]");
        findings.present(fast_path.place, "relay.fast_path", fault);
    }
}

fn check_interface(interface: &str, name: &Located<RelayName>, findings: &mut Findings) {
    let whole = format!("{interface}-{}", name.value);
    if whole.len() > InterfaceName::MAX_LEN {
        let problem = format!(
            "makes the interface name {whole}, of {} characters instead of at most {}",
            whole.len(),
            InterfaceName::MAX_LEN
        );
        let fault = Fault::new(problem, "write a shorter name, here or of relay.interface");
        findings.present(name.place, format!("mesh.relay.{}.name", name.value), fault);
    }
}

/// The ports of the tunnels: as many as relays, and none of them the relay's own.
fn check_ports(tables: &Tables, findings: &mut Findings) {
    let (Some(mesh), Some(relay)) = (&tables.mesh, &tables.relay) else { return };
    let first = mesh.port.as_ref().map_or(u32::from(PORT), |port| u32::from(port.value));
    let last = first + u32::try_from(mesh.relays.len()).unwrap_or(u32::MAX).saturating_sub(1);
    let listen_port = relay.listen_port.as_ref().map_or(51820, |port| u32::from(port.value));
    let fault = if last > u32::from(u16::MAX) {
        let problem = format!("begins {first} to {last}, beyond 65535");
        Fault::new(problem, "write a lower one")
    } else if (first..=last).contains(&listen_port) {
        let problem =
            format!("begins {first} to {last}, which has the relay's own port {listen_port}");
        Fault::new(problem, "write another")
    } else {
        return;
    };
    let place = mesh.port.as_ref().map_or(mesh.place, |port| port.place);
    findings.present(place, "mesh.port", fault);
}

/// Reports a value that an earlier relay has.
fn check_unique<T: Eq + Hash>(
    relays: &[MeshRelayTable],
    files: &Files<'_>,
    findings: &mut Findings,
    key: &str,
    value: impl Fn(&MeshRelayTable) -> Option<&Located<T>>,
) {
    for (repeated, at) in files.repeated(relays.iter().filter_map(&value)) {
        let has_it = |it: &&MeshRelayTable| value(it).is_some_and(|it| it.place == repeated.place);
        let label = relays.iter().find(has_it).map_or("mesh.relay", |relay| &relay.label);
        let problem = format!("is already that of another ({at})");
        let remedy = format!("give each relay its own {}", key.replace('_', " "));
        findings.present(repeated.place, format!("{label}.{key}"), Fault::new(problem, remedy));
    }
}
