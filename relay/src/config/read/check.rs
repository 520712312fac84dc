//! Errors that only several values together show, such as one prefix with two owners.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    net::IpAddr,
};

use ipnet::IpNet;

use super::{
    build::INTERFACE,
    endpoint::endpoint_address,
    fault::Fault,
    findings::Findings,
    keys::{MTU_MAX, MTU_MIN_V6},
    mesh,
    place::{Files, Located, Place},
    prefix::{short, taken_by_network},
    table::List,
    tables::{PeerTable, Tables},
    zone,
};
use crate::model::{Dns, host_prefix};

pub(super) fn check(tables: &Tables, files: &Files<'_>, findings: &mut Findings) {
    let overlay = Overlay::of(tables);
    check_relay(tables, findings);
    check_unique(tables, files, findings, "name", |peer| peer.name.as_ref());
    check_unique(tables, files, findings, "public_key", |peer| peer.public_key.as_ref());
    check_owners(tables, &overlay, files, findings);
    for peer in &tables.peers {
        check_place_in_overlay(peer, &overlay, findings);
        let (label, own) = (&peer.label, "the relay's");
        let key = format_args!("{label}.endpoint");
        check_endpoint(key, own, peer.endpoint.as_ref(), &overlay, findings);
        let key = format_args!("{label}.own_endpoint");
        check_endpoint(key, "the peer's", peer.own_endpoint.as_ref(), &overlay, findings);
    }
    for relay in tables.mesh.iter().flat_map(|mesh| &mesh.relays) {
        let Some(Located { value: host, place }) = &relay.host else { continue };
        let Ok(address) = host.parse() else { continue };
        let key = format_args!("{}.host", relay.label);
        check_outside(key, "its", address, *place, &overlay, findings);
    }
    if let Some(relay) = &tables.relay {
        let key = format_args!("relay.endpoint");
        check_endpoint(key, "the relay's", relay.endpoint.as_ref(), &overlay, findings);
    }
    check_dns("defaults", tables.defaults.dns.as_ref(), findings);
    for peer in &tables.peers {
        check_dns(&peer.label, peer.dns.as_ref(), findings);
    }
    check_mtu(tables, findings);
    check_guard(tables, findings);
    zone::check(tables, findings);
    mesh::check(tables, files, findings);
    check_webhooks(tables, files, findings);
}

/// Warns about endpoints with a port on which the relay does not listen.
pub(super) fn warn(tables: &Tables, listen_port: u16, findings: &mut Findings) {
    let own = tables.relay.iter().map(|relay| ("relay", &relay.endpoint));
    let peers = tables.peers.iter().map(|peer| (peer.label.as_str(), &peer.endpoint));
    for (label, endpoint) in own.chain(peers) {
        let Some(Located { value, place }) = endpoint else { continue };
        let port = value.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if let Some(port) = port.filter(|port| *port != listen_port) {
            let problem = format!("has port {port}, but the relay listens on {listen_port}");
            let remedy = format!(
                "write the same port in both, unless a gateway forwards {port} to {listen_port}"
            );
            findings.present(*place, format!("{label}.endpoint"), Fault::new(problem, remedy));
        }
    }
}

/// wg-quick(8) ignores search domains on a line without a resolver (`set_dns` in
/// src/wg-quick/linux.bash).
fn check_dns(label: &str, dns: Option<&List<Dns>>, findings: &mut Findings) {
    let Some(dns) = dns.filter(|dns| dns.complete) else { return };
    let is_resolver = |dns: &Located<Dns>| matches!(dns.value, Dns::Resolver(_));
    if let Some(first) = dns.items.first()
        && !dns.items.iter().any(is_resolver)
    {
        let problem = "has search domains but no resolver, so clients ignore it";
        let fault = Fault::new(problem, "add the address of a resolver, such as \"10.3.2.1\"");
        findings.present(first.place, format!("{label}.dns"), fault);
    }
}

/// The networks of `relay.address`.
struct Overlay<'t> {
    addresses: &'t [Located<IpNet>],
    /// Whether all of them are valid. Otherwise no address is called outside.
    complete: bool,
}

impl<'t> Overlay<'t> {
    fn of(tables: &'t Tables) -> Self {
        match &tables.relay {
            Some(relay) => {
                Self { addresses: &relay.addresses.items, complete: relay.addresses.complete }
            }
            None => Self { addresses: &[], complete: false },
        }
    }

    /// The network that holds `address`.
    fn network_of(&self, address: IpAddr) -> Option<&'t IpNet> {
        self.addresses.iter().map(|network| &network.value).find(|net| net.contains(&address))
    }

    /// Whether `address` is the relay's own.
    fn is_relay(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.value.addr() == address)
    }
}

impl fmt::Display for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.addresses.iter().enumerate() {
            if index > 0 {
                f.write_str(" and ")?;
            }
            write!(f, "{}", network.value.trunc())?;
        }
        Ok(())
    }
}

fn check_relay(tables: &Tables, findings: &mut Findings) {
    let Some(relay) = &tables.relay else { return };
    let addresses = &relay.addresses.items;
    for (index, later) in addresses.iter().enumerate() {
        let overlaps = |earlier: &&Located<IpNet>| {
            earlier.value.contains(&later.value.trunc())
                || later.value.contains(&earlier.value.trunc())
        };
        if let Some(earlier) = addresses[..index].iter().find(overlaps) {
            let problem = format!("{} overlaps {}", later.value.trunc(), earlier.value.trunc());
            let remedy = "write one address for each network";
            findings.present(later.place, "relay.address", Fault::new(problem, remedy));
        }
    }
}

/// Reports a value that an earlier peer has.
fn check_unique<T: Eq + Hash>(
    tables: &Tables,
    files: &Files<'_>,
    findings: &mut Findings,
    key: &str,
    value: impl Fn(&PeerTable) -> Option<&Located<T>>,
) {
    let mut first = HashMap::with_capacity(tables.peers.len());
    for peer in &tables.peers {
        let Some(located) = value(peer) else { continue };
        match first.entry(&located.value) {
            Entry::Vacant(entry) => {
                entry.insert((peer, located.place));
            }
            Entry::Occupied(entry) => {
                let (other, place) = *entry.get();
                let at = files.file_and_line(place);
                let problem = format!("is already that of {} ({at})", other.label);
                let remedy = format!("give each peer its own {}", key.replace('_', " "));
                let key = format!("{}.{key}", peer.label);
                findings.present(located.place, key, Fault::new(problem, remedy));
            }
        }
    }
}

/// Reports prefixes with two owners. Prefixes may nest: the longest match owns.
fn check_owners(
    tables: &Tables,
    overlay: &Overlay<'_>,
    files: &Files<'_>,
    findings: &mut Findings,
) {
    let mut owners: HashMap<IpNet, (usize, Place)> = HashMap::with_capacity(tables.peers.len());
    for (index, peer) in tables.peers.iter().enumerate() {
        let addresses = peer.addresses.items.iter();
        let addresses = addresses.map(|it| ("address", host_prefix(it.value), it.place));
        let routes = peer.routes.items.iter().map(|it| ("routes", it.value, it.place));
        for (key, network, place) in addresses.chain(routes) {
            let fault = match owners.entry(network) {
                _ if overlay.is_relay(network.addr()) && network == host_prefix(network.addr()) => {
                    let problem = format!("{} is the relay's own address", network.addr());
                    Fault::new(problem, "give the peer another")
                }
                Entry::Vacant(entry) => {
                    entry.insert((index, place));
                    continue;
                }
                Entry::Occupied(entry) if entry.get().0 == index => {
                    let problem = format!("{} already belongs to this peer", short(&network));
                    Fault::new(problem, "remove it from routes")
                }
                Entry::Occupied(entry) => {
                    let (other, other_place) = *entry.get();
                    let at = files.file_and_line(other_place);
                    let label = &tables.peers[other].label;
                    Fault::new(
                        format!("{} already belongs to {label} ({at})", short(&network)),
                        "give it to one peer only",
                    )
                }
            };
            findings.present(place, format!("{}.{key}", peer.label), fault);
        }
    }
}

fn check_place_in_overlay(peer: &PeerTable, overlay: &Overlay<'_>, findings: &mut Findings) {
    for Located { value: address, place } in &peer.addresses.items {
        let fault = match overlay.network_of(*address) {
            None if overlay.complete => Fault::new(
                format!("{address} is outside the overlay {overlay}"),
                "write an address inside it; networks behind the peer belong in routes",
            ),
            None => continue,
            Some(network) => match taken_by_network(*address, network) {
                Some(what) => {
                    let problem = format!("{address} is {what} of {}", network.trunc());
                    Fault::new(problem, "give the peer another")
                }
                None => continue,
            },
        };
        findings.present(*place, format!("{}.address", peer.label), fault);
    }
    for Located { value: route, place } in &peer.routes.items {
        if overlay.addresses.iter().any(|network| network.value.trunc() == *route) {
            let problem = format!("{route} is the overlay itself");
            let remedy =
                "write networks behind the peer; whom it may talk to belongs in allowed_ips";
            findings.present(*place, format!("{}.routes", peer.label), Fault::new(problem, remedy));
        }
    }
}

/// An endpoint inside the tunnel is unreachable.
fn check_endpoint(
    key: fmt::Arguments<'_>,
    whose: &str,
    endpoint: Option<&Located<String>>,
    overlay: &Overlay<'_>,
    findings: &mut Findings,
) {
    let Some(Located { value: endpoint, place }) = endpoint else { return };
    let Some(address) = endpoint_address(endpoint) else { return };
    check_outside(key, whose, address, *place, overlay, findings);
}

/// Whether an address of the underlay is none of the tunnel.
fn check_outside(
    key: fmt::Arguments<'_>,
    whose: &str,
    address: IpAddr,
    place: Place,
    overlay: &Overlay<'_>,
    findings: &mut Findings,
) {
    if let Some(network) = overlay.network_of(address) {
        let problem = format!("{address} is inside the overlay {}", network.trunc());
        let remedy = format!("write {whose} address on the underlay");
        findings.present(place, key.to_string(), Fault::new(problem, remedy));
    }
}

fn check_mtu(tables: &Tables, findings: &mut Findings) {
    let too_small = |mtu: &&Located<u16>| mtu.value < MTU_MIN_V6;
    let fault = |mtu: u16, whose: &str| {
        let problem = format!("{mtu} is below {MTU_MIN_V6}, which {whose} IPv6 address needs");
        Fault::new(problem, format!("write {MTU_MIN_V6} to {MTU_MAX}"))
    };
    if let Some(relay) = &tables.relay
        && let Some(mtu) = relay.mtu.as_ref().filter(too_small)
        && relay.addresses.items.iter().any(|address| address.value.addr().is_ipv6())
    {
        findings.present(mtu.place, "relay.mtu", fault(mtu.value, "the relay's"));
    }
    let has_v6 = |peer: &&PeerTable| peer.addresses.items.iter().any(|it| it.value.is_ipv6());
    for peer in tables.peers.iter().filter(has_v6) {
        if let Some(mtu) = peer.mtu.as_ref().filter(too_small) {
            let key = format!("{}.mtu", peer.label);
            findings.present(mtu.place, key, fault(mtu.value, "its"));
        }
    }
    let mut inheriting = tables.peers.iter().filter(|peer| peer.mtu.is_none() && has_v6(peer));
    if let Some(mtu) = tables.defaults.mtu.as_ref().filter(too_small)
        && let Some(peer) = inheriting.next()
    {
        let whose = format!("{}'s", peer.label);
        findings.present(mtu.place, "defaults.mtu", fault(mtu.value, &whose));
    }
}

/// WireGuard's UDP packets never arrive on the WireGuard interface.
fn check_guard(tables: &Tables, findings: &mut Findings) {
    let (Some(relay), Some(guard)) = (&tables.relay, &tables.guard) else { return };
    let own = relay.interface.as_ref().map_or(INTERFACE, |interface| interface.value.as_str());
    let mut named = guard.interfaces.iter().flat_map(|names| &names.items);
    if let Some(name) = named.find(|name| name.value == own) {
        let problem = format!("{own} is the relay's own interface");
        let remedy = "write the interfaces on which peers' UDP packets arrive, such as [\"eth0\"]";
        findings.present(name.place, "guard.interfaces", Fault::new(problem, remedy));
    }
}

fn check_webhooks(tables: &Tables, files: &Files<'_>, findings: &mut Findings) {
    let names = tables.webhooks.iter().filter_map(|webhook| webhook.name.as_ref());
    for (name, at) in files.repeated(names) {
        let problem = format!("is already that of another ({at})");
        let fault = Fault::new(problem, "give each webhook its own name");
        findings.present(name.place, format!("webhook.{}.name", name.value), fault);
    }
}
