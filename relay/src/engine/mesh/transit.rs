//! The tunnels to the other relays of a site: what there is of them, and what differs from what is
//! desired.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::super::{Result, endpoints::Wanted};
use crate::{
    config::MeshKey,
    datapath::{Datapath, TransitHook, TransitSettings},
    model::{InterfaceName, Mesh, PublicKey, Relay, Transit},
    net::{
        Handle,
        address::{self, AddressChange},
        classifier,
        link::{self, Link, LinkChange},
        route::{self, Route, RouteChange},
    },
    wireguard::{self, Change, DesiredPeer, Device, DevicePeer},
};

/// What the alias of a transit interface begins with; the relay's interface follows.
const MARK: &str = "relay-transit";

/// Interval of keepalives: both relays always have a session, and know within seconds that the other
/// one is gone.
const KEEPALIVE_S: u16 = 5;

/// Age of the latest handshake from which on a tunnel is down (REJECT_AFTER_TIME of the WireGuard
/// paper, section 6.1).
const DEAD: Duration = Duration::from_secs(180);

/// A transit interface, as observed.
pub(in crate::engine) struct SeenTransit {
    pub(in crate::engine) interface: InterfaceName,
    pub(in crate::engine) link: Link,
    pub(in crate::engine) device: Device,
    pub(in crate::engine) hook: TransitHook,
}

/// What is desired of all tunnels.
pub(in crate::engine) struct Desired<'a> {
    pub(in crate::engine) relay: &'a Relay,
    /// This relay's key; `None` without a mesh.
    pub(in crate::engine) key: Option<&'a MeshKey>,
    /// Where relays are reached of which WireGuard knows no endpoint.
    pub(in crate::engine) endpoints: &'a BTreeMap<PublicKey, SocketAddr>,
}

/// What differs.
#[derive(Default)]
pub(in crate::engine) struct TransitPlan {
    /// Interfaces that go.
    pub(in crate::engine) gone: Vec<InterfaceName>,
    /// Tunnels that come or change.
    pub(in crate::engine) tunnels: Vec<Tunnel>,
}

/// What differs of one tunnel.
pub(in crate::engine) struct Tunnel {
    transit: Transit,
    link: Vec<LinkChange>,
    wireguard: wireguard::Plan,
    /// What runs there, if that is not the program for this relay.
    attach: Option<TransitHook>,
    addresses: Vec<AddressChange>,
    routes: Vec<RouteChange>,
}

impl SeenTransit {
    /// The transit interfaces of a relay, by their alias and by the names that they have to have.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(in crate::engine) async fn all(
        handle: &Handle,
        relay: &Relay,
        datapath: &Datapath,
    ) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for interface in interfaces(handle, relay).await? {
            let Some(link) = link::read(handle, &interface).await? else { continue };
            let Some(device) = wireguard::read(&interface)? else { continue };
            let filters = classifier::read(handle, link.index).await?;
            let hook = datapath.transit(interface.as_str(), &filters)?;
            found.push(Self { interface, link, device, hook });
        }
        Ok(found)
    }

    /// Whether `up` has made it for a tunnel of the relay on this interface.
    pub(in crate::engine) fn is_ours(&self, interface: &InterfaceName) -> bool {
        self.link.alias.as_ref() == Some(&mark(interface))
    }

    /// The other relay.
    pub(super) fn peer(&self, key: &PublicKey) -> Option<&DevicePeer> {
        self.device.peers.iter().find(|peer| peer.public_key == *key)
    }
}

/// The names of those that there are.
async fn interfaces(handle: &Handle, relay: &Relay) -> Result<Vec<InterfaceName>> {
    let mark = mark(&relay.interface);
    let mesh = relay.mesh.iter();
    let names = mesh.flat_map(|mesh| mesh.interfaces(&relay.interface));
    let names: Vec<_> = names.map(|(_, interface)| interface).collect();
    let links = link::wireguards(handle).await?.into_iter();
    let ours = links
        .filter(|(interface, alias)| alias.as_ref() == Some(&mark) || names.contains(interface));
    Ok(ours.map(|(interface, _)| interface).collect())
}

/// Deletes all transit interfaces of a relay, and returns their names.
///
/// # Errors
/// The kernel does not delete one of them.
pub(in crate::engine) async fn delete_all(
    handle: &Handle,
    interface: &InterfaceName,
    datapath: &Datapath,
) -> Result<Vec<InterfaceName>> {
    let mark = mark(interface);
    let mut deleted = Vec::new();
    for (transit, alias) in link::wireguards(handle).await? {
        if alias.as_ref() == Some(&mark) {
            delete(handle, &transit, datapath).await?;
            deleted.push(transit);
        }
    }
    Ok(deleted)
}

async fn delete(handle: &Handle, transit: &InterfaceName, datapath: &Datapath) -> Result<()> {
    link::delete(handle, transit).await?;
    Ok(datapath.forget_transit(transit.as_str())?)
}

/// Relays whose address has to be looked up: WireGuard knows none, or one that leads nowhere.
pub(in crate::engine) fn silent(
    relay: &Relay,
    key: Option<&MeshKey>,
    seen: &[SeenTransit],
    now: SystemTime,
) -> Vec<Wanted> {
    let transits = transits(relay, key).into_iter();
    let silent = transits.filter(|transit| {
        let peer = seen
            .iter()
            .find(|seen| seen.interface == transit.interface)
            .and_then(|seen| seen.peer(&transit.relay.public_key));
        peer.is_none_or(|peer| peer.endpoint.is_none() || is_dead(peer, now))
    });
    silent
        .map(|transit| Wanted {
            key: transit.relay.public_key,
            what: format!("host of {}", transit.relay.name),
            endpoint: match transit.relay.host.contains(':') {
                true => format!("[{}]:{}", transit.relay.host, transit.port_there),
                false => format!("{}:{}", transit.relay.host, transit.port_there),
            },
        })
        .collect()
}

/// The tunnels of this relay; none without a mesh.
pub(in crate::engine) fn transits(relay: &Relay, key: Option<&MeshKey>) -> Vec<Transit> {
    match (&relay.mesh, key) {
        (Some(mesh), Some(key)) => mesh.transits(key.place, &relay.interface),
        _ => Vec::new(),
    }
}

/// Whether a tunnel has no session.
pub(in crate::engine) fn is_dead(peer: &DevicePeer, now: SystemTime) -> bool {
    // A clock that was set back says nothing about age.
    let is_old = |at| now.duration_since(at).is_ok_and(|age| age > DEAD);
    peer.latest_handshake.is_none_or(is_old)
}

impl TransitPlan {
    /// Compares what there is with what is desired. `own` is the relay's interface.
    ///
    /// # Errors
    /// The name of a transit interface belongs to a link of another kind; a route is another
    /// interface's.
    pub(in crate::engine) fn new(
        desired: &Desired<'_>,
        seen: &[SeenTransit],
        own: Option<&Link>,
        routes: &[Route],
    ) -> Result<Self> {
        let interface = &desired.relay.interface;
        let transits = transits(desired.relay, desired.key);
        let network = desired.relay.mesh.as_ref().map(Mesh::network);
        let is_kept = |seen: &SeenTransit| {
            let same = transits.iter().find(|it| it.interface == seen.interface);
            // A relay that has another place in the list than before has the address of another one.
            same.is_some_and(|it| {
                let is_own = |address: &IpNet| *address == own_address(it);
                let is_transit = |address: &IpNet| match address {
                    IpNet::V6(address) => network.is_some_and(|network| network.contains(address)),
                    IpNet::V4(_) => false,
                };
                seen.link.addresses.iter().all(|address| is_own(address) || !is_transit(address))
            })
        };
        let (gone, seen): (Vec<_>, Vec<_>) =
            seen.iter().partition(|seen| seen.is_ours(interface) && !is_kept(seen));
        let is_left = |route: &&Route| {
            gone.iter().all(|gone| route.interface.as_deref() != Some(gone.interface.as_str()))
        };
        let routes: Vec<Route> = routes.iter().filter(is_left).cloned().collect();
        let mut tunnels = Vec::new();
        for transit in transits {
            let found = seen.iter().find(|seen| seen.interface == transit.interface).copied();
            let tunnel = Tunnel::new(desired, transit, found, own, &routes)?;
            tunnels.extend((!tunnel.is_empty()).then_some(tunnel));
        }
        Ok(Self { gone: gone.into_iter().map(|gone| gone.interface.clone()).collect(), tunnels })
    }
}

impl Tunnel {
    fn new(
        desired: &Desired<'_>,
        transit: Transit,
        found: Option<&SeenTransit>,
        own: Option<&Link>,
        routes: &[Route],
    ) -> Result<Self> {
        let Desired { relay, key, endpoints } = *desired;
        let interface = &transit.interface;
        let link = found.map(|found| &found.link);
        let wireguard = match key {
            Some(key) => plan(key, &transit, found, endpoints.get(&transit.relay.public_key))?,
            None => wireguard::Plan::default(),
        };
        let settings = own.zip(relay.mesh.as_ref()).map(|(own, mesh)| settings(own, mesh).hash());
        let hook = found.map(|found| found.hook).unwrap_or_default();
        let is_ours = hook.settings_hash.is_some() && hook.settings_hash == settings;
        let observed = link.map_or(&[][..], |link| &link.addresses);
        Ok(Self {
            link: link::plan(interface, relay.mtu, &mark(&relay.interface), link)?,
            wireguard,
            attach: (!is_ours).then_some(hook),
            addresses: address::plan(interface, &[own_address(&transit)], observed),
            routes: route::plan(interface, &[address_there(&transit)], routes)?,
            transit,
        })
    }

    fn is_empty(&self) -> bool {
        self.link.is_empty()
            && self.wireguard.is_empty()
            && self.attach.is_none()
            && self.addresses.is_empty()
            && self.routes.is_empty()
    }

    /// A line for each change.
    pub(in crate::engine) fn lines(&self) -> Vec<String> {
        let relay = &self.transit.relay.name;
        let line = |change: String| match change.split_once(' ') {
            Some((sign, change)) => format!("{sign} transit to {relay}: {change}"),
            None => change,
        };
        let attach = self.attach.map(|hook| {
            let sign = if hook.mode.is_some() { '~' } else { '+' };
            format!("{sign} program on {}", self.transit.interface)
        });
        let link = self.link.iter().map(ToString::to_string);
        let wireguard = self.wireguard.changes().map(ToString::to_string);
        let addresses = self.addresses.iter().map(ToString::to_string);
        let routes = self.routes.iter().map(ToString::to_string);
        link.chain(wireguard).chain(attach).chain(addresses).chain(routes).map(line).collect()
    }

    /// Applies it: no packet passes before the program is attached.
    pub(in crate::engine) async fn apply(
        &self,
        handle: &Handle,
        own: &InterfaceName,
        mesh: &Mesh,
        datapath: &Datapath,
    ) -> Result<()> {
        let Transit { interface, listen_port, .. } = &self.transit;
        let is_up = |change: &&LinkChange| matches!(change, LinkChange::Up { .. });
        for change in self.link.iter().filter(|change| !is_up(change)) {
            link::apply(handle, change, *listen_port).await?;
        }
        if let Some(hook) = self.attach
            && let Some(own) = link::read(handle, own).await?
        {
            datapath.attach_transit(&settings(&own, mesh), interface.as_str(), hook)?;
        }
        wireguard::apply(interface, &self.wireguard.narrow)?;
        wireguard::apply(interface, &self.wireguard.widen)?;
        address::apply(handle, interface, &[own_address(&self.transit)]).await?;
        for change in self.link.iter().filter(is_up) {
            link::apply(handle, change, *listen_port).await?;
        }
        Ok(route::apply(handle, interface, &[address_there(&self.transit)]).await?)
    }
}

/// What differs of WireGuard. `endpoint` is where the relay is reached, if that was looked up: there is
/// none, or one that leads nowhere.
fn plan(
    key: &MeshKey,
    transit: &Transit,
    found: Option<&SeenTransit>,
    endpoint: Option<&SocketAddr>,
) -> Result<wireguard::Plan> {
    let public_key = transit.relay.public_key;
    let peer = DesiredPeer {
        name: (&transit.relay.name).into(),
        public_key,
        preshared_key: None,
        allowed_ips: vec![Ipv4Net::default().into(), Ipv6Net::default().into()],
        keepalive: Some(KEEPALIVE_S),
    };
    let name = peer.name.clone();
    let desired = wireguard::Desired::new(&key.private_key, transit.listen_port, vec![peer])?;
    let endpoints = endpoint.map(|&endpoint| (public_key, endpoint)).into_iter().collect();
    let desired = desired.with_endpoints(endpoints);
    let mut plan = wireguard::plan(&desired, found.map(|found| &found.device));
    let known = found.and_then(|found| found.peer(&public_key)).and_then(|peer| peer.endpoint);
    if let (Some(known), Some(&endpoint)) = (known, endpoint)
        && known != endpoint
    {
        plan.widen.push(Change::Endpoint { name, public_key, endpoint });
    }
    Ok(plan)
}

/// Removes interfaces with their peers and programs.
///
/// # Errors
/// The kernel does not delete one of them.
pub(in crate::engine) async fn remove(
    handle: &Handle,
    gone: &[InterfaceName],
    datapath: &Datapath,
) -> Result<()> {
    for transit in gone {
        delete(handle, transit, datapath).await?;
    }
    Ok(())
}

fn mark(interface: &InterfaceName) -> String {
    format!("{MARK} {interface}")
}

fn settings(own: &Link, mesh: &Mesh) -> TransitSettings {
    TransitSettings { own_interface: own.index, network: mesh.network() }
}

fn own_address(transit: &Transit) -> IpNet {
    Ipv6Net::from(transit.address).into()
}

fn address_there(transit: &Transit) -> IpNet {
    Ipv6Net::from(transit.address_there).into()
}

#[cfg(test)]
mod tests;
