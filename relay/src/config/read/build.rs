//! Tables to model: fills in the defaults.

use std::path::Path;

use super::{
    names::{Names, Resolved},
    place::Located,
    selector::Named,
    table::List,
    tables::{
        GuardTable, LimitKeys, MeshTable, NamesTable, PeerTable, RuleTable, Tables, TestTable,
        WebhookTable,
    },
};
use crate::model::{
    Dns, Expectation, Group, Guard, InterfaceName, Limits, Mesh, MeshRelay, Names as Zone, Peer,
    Quota, Relay, Rule, Selector, Underlay, Webhook,
};

pub(super) const INTERFACE: &str = "relay0";
/// The first port of transit tunnels.
pub(super) const MESH_PORT: u16 = 51830;

/// The model. `None` if a required key is missing or a name is nobody's, which is reported.
pub(super) fn build(tables: &Tables, names: &Names<'_>, base: &Path) -> Option<Relay> {
    let relay = tables.relay.as_ref()?;
    let peers = tables.peers.iter().map(|peer| build_peer(peer, tables, base));
    let webhooks = tables.webhooks.iter().map(|webhook| build_webhook(webhook, base));
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
        names: tables.names.as_ref().and_then(build_names),
        mesh: match &tables.mesh {
            Some(mesh) => Some(build_mesh(mesh, base)?),
            None => None,
        },
        peers: peers.collect::<Option<_>>()?,
        groups: groups(names),
        rules: tables.rules.iter().map(|rule| build_rule(rule, names)).collect::<Option<_>>()?,
        tests: tables.tests.iter().map(|test| build_test(test, names)).collect::<Option<_>>()?,
        webhooks: webhooks.collect::<Option<_>>()?,
        client_allowed_ips: or(&tables.defaults.client_allowed_ips, defaults.client_allowed_ips),
    })
}

fn groups(names: &Names<'_>) -> Vec<Group> {
    let group =
        |group: &Resolved<'_>| Group { name: group.name.clone(), members: group.members.clone() };
    names.resolved.iter().map(group).collect()
}

fn build_rule(rule: &RuleTable, names: &Names<'_>) -> Option<Rule> {
    let side = |list: &List<Named>| -> Option<Vec<Selector>> {
        list.items.iter().map(|named| names.selector(&named.value)).collect()
    };
    let defaults = Rule::new(rule.name.as_ref()?.value.clone());
    Some(Rule {
        description: rule.description.as_ref().map(|description| description.value.clone()),
        from: side(&rule.from)?,
        to: side(&rule.to)?,
        except: side(&rule.except)?,
        services: values(&rule.services),
        both_ways: or(&rule.both_ways, defaults.both_ways),
        until: rule.until.as_ref().map(|until| until.value),
        name: defaults.name,
    })
}

fn build_test(test: &TestTable, names: &Names<'_>) -> Option<Expectation> {
    Some(Expectation {
        from: names.end(&test.from.as_ref()?.value)?,
        to: names.end(&test.to.as_ref()?.value)?,
        allow: values(&test.allow),
        deny: values(&test.deny),
    })
}

fn build_webhook(webhook: &WebhookTable, base: &Path) -> Option<Webhook> {
    let events = webhook.events.as_ref().map(values);
    Some(Webhook {
        name: webhook.name.as_ref()?.value.clone(),
        url: webhook.url.as_ref()?.value.clone(),
        secret_file: base.join(&webhook.secret_file.as_ref()?.value),
        events: events.unwrap_or_else(|| Webhook::default_events().collect()),
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

fn build_names(names: &NamesTable) -> Option<Zone> {
    Some(Zone { zone: names.zone.as_ref()?.value.clone(), forward: values(&names.forward) })
}

fn build_mesh(mesh: &MeshTable, base: &Path) -> Option<Mesh> {
    let relays = mesh.relays.iter().map(|relay| {
        Some(MeshRelay {
            name: relay.name.as_ref()?.value.clone(),
            public_key: relay.public_key.as_ref()?.value,
            host: relay.host.as_ref()?.value.clone(),
        })
    });
    let private_key_file = mesh.private_key_file.as_ref().map(|path| base.join(&path.value));
    Some(Mesh {
        name: mesh.name.as_ref().map(|name| name.value.clone()),
        port: or(&mesh.port, MESH_PORT),
        private_key_file: private_key_file.unwrap_or_else(|| "/etc/relay/mesh.key".into()),
        relays: relays.collect::<Option<_>>()?,
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
        limits: build_limits(&peer.limits, &shared.limits),
        persistent_keepalive: keepalive.map_or(defaults.persistent_keepalive, |it| it.value),
        mtu: mtu.map_or(defaults.mtu, |it| it.value),
        dns: dns.map_or_else(|| relay_dns(peer, tables), values),
        endpoint: peer.endpoint.as_ref().map(|endpoint| endpoint.value.clone()),
        own_endpoint: peer.own_endpoint.as_ref().map(|endpoint| endpoint.value.clone()),
        name: defaults.name,
        public_key: defaults.public_key,
    })
}

/// The relay as the resolver of a client that names none.
fn relay_dns(peer: &PeerTable, tables: &Tables) -> Vec<Dns> {
    let Some(names) = tables.names.as_ref().and_then(build_names) else { return Vec::new() };
    let relay = tables.relay.iter().flat_map(|relay| &relay.addresses.items);
    let relay: Vec<_> = relay.map(|address| address.value.addr()).collect();
    names.client_dns(&relay, &values(&peer.addresses))
}

/// A peer's own limits replace those of `[defaults]`, and each quota those that it cannot stand beside.
fn build_limits(own: &LimitKeys, shared: &LimitKeys) -> Limits {
    let is_apart = own.quota_from.is_some() || own.quota_to.is_some();
    // Also "unlimited": it takes all quotas back.
    let own_quota = own.quota;
    let quota = match own_quota {
        Some(quota) => quota,
        None if is_apart => None,
        None => shared.quota.flatten(),
    };
    let apart = |own: Option<Option<Quota>>, shared: Option<Option<Quota>>| match own {
        Some(quota) => quota,
        None if own_quota.is_some() => None,
        None => shared.flatten(),
    };
    Limits {
        rate_from: own.rate_from.or(shared.rate_from).flatten(),
        rate_to: own.rate_to.or(shared.rate_to).flatten(),
        quota,
        quota_from: apart(own.quota_from, shared.quota_from),
        quota_to: apart(own.quota_to, shared.quota_to),
    }
}

fn values<T: Clone>(list: &List<T>) -> Vec<T> {
    list.items.iter().map(|item| item.value.clone()).collect()
}

fn or<T: Copy>(written: &Option<Located<T>>, default: T) -> T {
    written.as_ref().map_or(default, |written| written.value)
}
