//! Tables to model: fills in the defaults.

use std::path::Path;

use super::{
    place::Located,
    table::List,
    tables::{GuardTable, PeerTable, Tables},
};
use crate::model::{Egress, Guard, GuardMode, HostAccess, InterfaceName, Peer, Relay, Underlay};

pub(super) const INTERFACE: &str = "relay0";
const LISTEN_PORT: u16 = 51820;
const PRIVATE_KEY_FILE: &str = "/etc/relay/private.key";
const RELAY_MTU: u16 = 1420;
const PEER_MTU: u16 = 1280;
const PERSISTENT_KEEPALIVE: u16 = 25;
/// 1,000 peers behind one address, which retry every 5 seconds (REKEY_TIMEOUT), are connected well
/// within a minute of an outage.
const INITIATIONS_PER_SECOND: u32 = 50;
const BURST: u32 = 200;
const SOURCES: u32 = 65_536;

/// The model. `None` if a required key is missing, which the tables have reported.
pub(super) fn build(tables: &Tables, base: &Path) -> Option<Relay> {
    let relay = tables.relay.as_ref()?;
    let peers = tables.peers.iter().map(|peer| build_peer(peer, tables, base));
    let interface = match &relay.interface {
        Some(interface) => interface.value.clone(),
        None => INTERFACE.parse::<InterfaceName>().ok()?,
    };
    let private_key_file = relay.private_key_file.as_ref();
    Some(Relay {
        interface,
        addresses: values(&relay.addresses),
        listen_port: or(&relay.listen_port, LISTEN_PORT),
        endpoint: relay.endpoint.as_ref().map(|endpoint| endpoint.value.clone()),
        private_key_file: private_key_file
            .map_or(PRIVATE_KEY_FILE.into(), |path| base.join(&path.value)),
        mtu: or(&relay.mtu, RELAY_MTU),
        fast_path: or(&relay.fast_path, true),
        host_access: relay.host_access.clone().unwrap_or(HostAccess::Ping),
        egress: or(&relay.egress, Egress::Deny),
        fence: or(&relay.fence, true),
        pair_stats: or(&relay.pair_stats, false),
        guard: tables.guard.as_ref().and_then(build_guard),
        peers: peers.collect::<Option<_>>()?,
    })
}

/// `None` if it is off.
fn build_guard(guard: &GuardTable) -> Option<Guard> {
    let named = guard.interfaces.as_ref().map(|names| Underlay::Named(values(names)));
    or(&guard.enabled, true).then(|| Guard {
        interfaces: named.unwrap_or(Underlay::Auto),
        mode: or(&guard.mode, GuardMode::Auto),
        initiations_per_second: or(&guard.initiations_per_second, INITIATIONS_PER_SECOND),
        burst: or(&guard.burst, BURST),
        sources: or(&guard.sources, SOURCES),
    })
}

fn build_peer(peer: &PeerTable, tables: &Tables, base: &Path) -> Option<Peer> {
    let defaults = &tables.defaults;
    let keepalive = peer.persistent_keepalive.as_ref().or(defaults.persistent_keepalive.as_ref());
    let mtu = peer.mtu.as_ref().or(defaults.mtu.as_ref());
    let dns = peer.dns.as_ref().or(defaults.dns.as_ref());
    let allowed_ips = peer.allowed_ips.as_ref().or(defaults.allowed_ips.as_ref());
    Some(Peer {
        name: peer.name.as_ref()?.value.clone(),
        description: peer.description.as_ref().map(|description| description.value.clone()),
        enabled: or(&peer.enabled, true),
        public_key: peer.public_key.as_ref()?.value,
        preshared_key_file: peer.preshared_key_file.as_ref().map(|path| base.join(&path.value)),
        addresses: values(&peer.addresses),
        routes: values(&peer.routes),
        allowed_ips: allowed_ips.map(values).unwrap_or_default(),
        persistent_keepalive: keepalive.map_or(PERSISTENT_KEEPALIVE, |it| it.value),
        mtu: mtu.map_or(PEER_MTU, |it| it.value),
        dns: dns.map(values).unwrap_or_default(),
        endpoint: peer.endpoint.as_ref().map(|endpoint| endpoint.value.clone()),
    })
}

fn values<T: Clone>(list: &List<T>) -> Vec<T> {
    list.items.iter().map(|item| item.value.clone()).collect()
}

fn or<T: Copy>(written: &Option<Located<T>>, default: T) -> T {
    written.as_ref().map_or(default, |written| written.value)
}
