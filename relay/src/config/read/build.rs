//! Tables to model: fills in the defaults.

use std::path::Path;

use super::{
    place::Located,
    table::List,
    tables::{GuardTable, PeerTable, Tables},
};
use crate::model::{Guard, InterfaceName, Peer, Relay, Underlay};

pub(super) const INTERFACE: &str = "relay0";

/// The model. `None` if a required key is missing, which the tables have reported.
pub(super) fn build(tables: &Tables, base: &Path) -> Option<Relay> {
    let relay = tables.relay.as_ref()?;
    let peers = tables.peers.iter().map(|peer| build_peer(peer, tables, base));
    let interface = match &relay.interface {
        Some(interface) => interface.value.clone(),
        None => INTERFACE.parse::<InterfaceName>().ok()?,
    };
    let private_key_file = relay.private_key_file.as_ref().map(|path| base.join(&path.value));
    let defaults = Relay::new(interface);
    Some(Relay {
        addresses: values(&relay.addresses),
        listen_port: or(&relay.listen_port, defaults.listen_port),
        endpoint: relay.endpoint.as_ref().map(|endpoint| endpoint.value.clone()),
        private_key_file: private_key_file.unwrap_or(defaults.private_key_file),
        mtu: or(&relay.mtu, defaults.mtu),
        fast_path: or(&relay.fast_path, defaults.fast_path),
        host_access: relay.host_access.clone().unwrap_or(defaults.host_access),
        egress: or(&relay.egress, defaults.egress),
        fence: or(&relay.fence, defaults.fence),
        pair_stats: or(&relay.pair_stats, defaults.pair_stats),
        interface: defaults.interface,
        guard: tables.guard.as_ref().and_then(build_guard),
        peers: peers.collect::<Option<_>>()?,
        groups: defaults.groups,
        rules: defaults.rules,
        tests: defaults.tests,
        client_allowed_ips: defaults.client_allowed_ips,
    })
}

/// `None` if it is off.
fn build_guard(guard: &GuardTable) -> Option<Guard> {
    let named = guard.interfaces.as_ref().map(|names| Underlay::Named(values(names)));
    let defaults = Guard::default();
    or(&guard.enabled, true).then(|| Guard {
        interfaces: named.unwrap_or(defaults.interfaces),
        mode: or(&guard.mode, defaults.mode),
        initiations_per_second: or(&guard.initiations_per_second, defaults.initiations_per_second),
        burst: or(&guard.burst, defaults.burst),
        sources: or(&guard.sources, defaults.sources),
    })
}

fn build_peer(peer: &PeerTable, tables: &Tables, base: &Path) -> Option<Peer> {
    let shared = &tables.defaults;
    let keepalive = peer.persistent_keepalive.as_ref().or(shared.persistent_keepalive.as_ref());
    let mtu = peer.mtu.as_ref().or(shared.mtu.as_ref());
    let dns = peer.dns.as_ref().or(shared.dns.as_ref());
    let allowed_ips = peer.allowed_ips.as_ref().or(shared.allowed_ips.as_ref());
    let defaults = Peer::new(peer.name.as_ref()?.value.clone(), peer.public_key.as_ref()?.value);
    Some(Peer {
        description: peer.description.as_ref().map(|description| description.value.clone()),
        enabled: or(&peer.enabled, defaults.enabled),
        preshared_key_file: peer.preshared_key_file.as_ref().map(|path| base.join(&path.value)),
        addresses: values(&peer.addresses),
        routes: values(&peer.routes),
        allowed_ips: allowed_ips.map(values).unwrap_or_default(),
        persistent_keepalive: keepalive.map_or(defaults.persistent_keepalive, |it| it.value),
        mtu: mtu.map_or(defaults.mtu, |it| it.value),
        dns: dns.map(values).unwrap_or_default(),
        endpoint: peer.endpoint.as_ref().map(|endpoint| endpoint.value.clone()),
        name: defaults.name,
        public_key: defaults.public_key,
    })
}

fn values<T: Clone>(list: &List<T>) -> Vec<T> {
    list.items.iter().map(|item| item.value.clone()).collect()
}

fn or<T: Copy>(written: &Option<Located<T>>, default: T) -> T {
    written.as_ref().map_or(default, |written| written.value)
}
