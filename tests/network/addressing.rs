//! Addresses, routes and links, on veth interfaces.

use ipnet::IpNet;
use relay::{
    model::InterfaceName,
    net::{
        self, NetError, address,
        link::{self, LinkKind},
        route,
        underlay::{self, Interface},
    },
};

use crate::namespace::{Namespace, namespaces};

#[test]
fn addresses_become_the_desired_ones() {
    let Some([host, other]) = namespaces("addresses") else { return };
    host.veth("relay0", &other, "eth0");
    host.ip("addr add 10.3.2.1/24 dev relay0");
    host.ip("addr add 10.3.2.9/24 dev relay0");
    host.ip("addr add 10.9.9.9/24 dev relay0");

    // Removing the primary address also removes the secondary one, 10.3.2.9.
    let desired = nets(&["10.3.2.9/24", "fd00::3:2:1/120"]);
    apply_addresses(&host, &desired);
    assert_eq!(addresses(&host), desired);
    let listing = host.ip("-6 addr show dev relay0");
    assert!(listing.contains("fd00::3:2:1/120 scope global nodad"), "{listing}");

    apply_addresses(&host, &desired);
    assert_eq!(addresses(&host), desired);
    apply_addresses(&host, &[]);
    assert_eq!(addresses(&host), []);
}

#[test]
fn every_address_of_the_host_is_found() {
    let Some([host, other]) = namespaces("host_addresses") else { return };
    host.veth("eth0", &other, "eth0");
    host.ip("addr add 192.0.2.1/24 dev eth0");
    host.ip("addr add 198.51.100.1 peer 198.51.100.2/32 dev eth0");
    host.ip("addr add 2001:db8::1/64 dev eth0 nodad");
    let found = host.block_on(|| async { net::host_addresses(&net::connect()?).await });
    let found: Vec<String> = found.expect("read").iter().map(ToString::to_string).collect();
    for address in ["127.0.0.1", "::1", "192.0.2.1", "198.51.100.1", "2001:db8::1"] {
        assert!(found.iter().any(|one| one == address), "{address} in {found:?}");
    }
    assert!(!found.iter().any(|one| one == "198.51.100.2"), "{found:?}");
}

#[test]
fn routes_become_the_desired_ones_and_those_of_others_stay() {
    let Some([host, other]) = namespaces("routes") else { return };
    host.veth("relay0", &other, "eth0");
    host.ip("route add 192.168.1.0/24 dev relay0");
    let desired = nets(&["10.8.0.0/16", "192.168.40.0/24", "fd40::/64"]);
    apply_routes(&host, &desired).expect("applied");
    assert_eq!(our_routes(&host), desired);
    apply_routes(&host, &desired).expect("applied again");
    assert_eq!(our_routes(&host), desired);

    let fewer = nets(&["192.168.40.0/24"]);
    apply_routes(&host, &fewer).expect("applied");
    assert_eq!(our_routes(&host), fewer);
    let listing = host.ip("route show dev relay0");
    assert!(listing.contains("192.168.40.0/24 proto 119 scope link"), "{listing}");
    assert!(listing.contains("192.168.1.0/24 scope link"), "{listing}");
}

#[test]
fn a_route_that_leads_elsewhere_is_named_and_nothing_is_changed() {
    let Some([host, other]) = namespaces("route_conflict") else { return };
    host.veth("relay0", &other, "eth0");
    host.veth("lan0", &other, "eth1");
    host.ip("route add 192.168.40.0/24 dev lan0 metric 7");
    host.ip("route add blackhole fd40::/64");
    let error = apply_routes(&host, &nets(&["10.8.0.0/16", "192.168.40.0/24"]));
    let error = error.expect_err("a conflict").to_string();
    assert!(error.contains("192.168.40.0/24: found in the main table through lan0"), "{error}");
    assert!(apply_routes(&host, &nets(&["fd40::/64"])).is_err());
    assert_eq!(our_routes(&host), []);
}

#[test]
fn a_link_of_another_kind_keeps_its_name() {
    let Some([host, other]) = namespaces("other_kind") else { return };
    host.veth("relay0", &other, "eth0");
    host.ip("link set relay0 mtu 1400");
    let found = host.block_on(|| async { link::read(&net::connect()?, &relay0()).await });
    let found = found.expect("read").expect("a link");
    assert_eq!((found.kind, found.mtu, found.up), (LinkKind::Other("veth".to_owned()), 1400, true));
    let error = host.block_on(|| async { link::delete(&net::connect()?, &relay0()).await });
    assert!(matches!(error, Err(NetError::NameTaken { ref kind, .. }) if kind == "veth"));

    host.ip("link del relay0");
    // A link without a kind.
    host.ip("link set lo down");
    host.ip("link set lo name relay0");
    let found = host.block_on(|| async move { link::read(&net::connect()?, &relay0()).await });
    assert_eq!(found.expect("read").expect("a link").kind, LinkKind::Other("device".to_owned()));
}

#[test]
fn a_link_that_is_not_there_is_nothing_to_read_or_delete() {
    let Some([host]) = namespaces("no_link") else { return };
    let found = host.block_on(|| async { link::read(&net::connect()?, &relay0()).await });
    assert_eq!(found.expect("read"), None);
    let gone = host.block_on(|| async { link::delete(&net::connect()?, &relay0()).await });
    assert!(!gone.expect("nothing to delete"));
    let error = host.block_on(|| async { link::set_mtu(&net::connect()?, &relay0(), 1400).await });
    assert!(matches!(error, Err(NetError::NoInterface { .. })));
}

#[test]
fn the_underlay_is_what_default_routes_of_either_family_lead_through() {
    let Some([host, other]) = namespaces("underlay") else { return };
    for name in ["eth0", "eth1", "eth2", "eth3", "eth4"] {
        host.veth(name, &other, name);
    }
    let outward = |host: &Namespace| -> Vec<String> {
        let found = interfaces(host).into_iter().filter(|one| one.has_default_route);
        found.map(|one| one.name).collect()
    };
    assert_eq!(outward(&host), [""; 0]);
    host.ip("addr add 192.0.2.1/24 dev eth0");
    host.ip("addr add 198.51.100.1/24 dev eth1");
    host.ip("addr add 2001:db8::1/64 dev eth2 nodad");
    host.ip("route add default via 192.0.2.254");
    host.ip("-6 route add default via 2001:db8::ff");
    // Neither is a default route of the main table.
    host.ip("route add default dev eth3 table 100");
    host.ip("-6 route add unreachable default metric 4000");
    assert_eq!(outward(&host), ["eth0", "eth2"]);
    host.ip(
        "route replace default nexthop via 192.0.2.254 weight 1 nexthop via 198.51.100.254 weight 1",
    );
    assert_eq!(outward(&host), ["eth0", "eth1", "eth2"]);

    let found = interfaces(&host);
    let lo = found.iter().find(|one| one.name == "lo").expect("lo");
    assert!(!lo.is_ethernet && lo.xdp.is_none());
    assert!(found.iter().all(|one| one.is_ethernet == one.name.starts_with("eth")), "{found:?}");
}

/// Sorted by name.
fn interfaces(host: &Namespace) -> Vec<Interface> {
    let found = host.block_on(|| async { underlay::read(&net::connect()?).await });
    let mut found = found.expect("read");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn apply_addresses(host: &Namespace, desired: &[IpNet]) {
    let desired = desired.to_vec();
    host.block_on(|| async move { address::apply(&net::connect()?, &relay0(), &desired).await })
        .expect("applied");
}

/// Addresses of relay0, without link-local ones.
fn addresses(host: &Namespace) -> Vec<IpNet> {
    let link = host.block_on(|| async { link::read(&net::connect()?, &relay0()).await });
    let mut addresses = link.expect("read").expect("a link").addresses;
    addresses.retain(|address| !address.to_string().starts_with("fe80:"));
    addresses
}

fn apply_routes(host: &Namespace, desired: &[IpNet]) -> Result<(), NetError> {
    let desired = desired.to_vec();
    host.block_on(|| async move { route::apply(&net::connect()?, &relay0(), &desired).await })
}

fn our_routes(host: &Namespace) -> Vec<IpNet> {
    let routes = host.block_on(|| async { route::read(&net::connect()?).await }).expect("read");
    let mut ours: Vec<IpNet> = routes
        .into_iter()
        .filter(|route| route.protocol == route::PROTOCOL)
        .map(|route| route.destination)
        .collect();
    ours.sort_unstable();
    ours
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().expect("a prefix")).collect()
}

fn relay0() -> InterfaceName {
    "relay0".parse().expect("a name")
}
