//! The LAN of the relays: a bridge on the internet's side, and the address that peers dial.

use std::net::IpAddr;

use anyhow::Result;
use serde_json::Value;

use super::{NAMES, PORT, address};
use crate::{Namespace, deadline, namespace, relay_host::UNDERLAY};

/// The internet's address on the LAN.
const GATEWAY: &str = "192.0.2.254";

/// Routing table of what is sent from the peers' address.
const TABLE: u16 = PORT;

pub(super) fn create(internet: &Namespace) -> Result<()> {
    internet.ip_batch(&format!(
        "link add lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
         link set lan addrgenmode none\n\
         link set lan up\n\
         address add {GATEWAY}/24 dev lan\n"
    ))
}

/// Connects a host, with this address.
pub(super) fn attach(
    internet: &Namespace,
    host: &Namespace,
    name: &str,
    address: IpAddr,
) -> Result<()> {
    namespace::ip_batch(&format!(
        "link add {name} netns {} type veth peer name eth0 netns {}\n",
        internet.name(),
        host.name()
    ))?;
    internet.ip_batch(&format!(
        "link set {name} addrgenmode none\n\
         link set {name} master lan\n\
         link set {name} up\n"
    ))?;
    host.ip_batch(&format!(
        "link set lo up\n\
         link set eth0 addrgenmode none\n\
         link set eth0 up\n\
         address add {address}/24 dev eth0\n\
         route add default via {GATEWAY}\n"
    ))?;
    // Routes need the carrier, which comes a moment later.
    deadline::until("the relay's underlay", || {
        let link = host.run("ip", &["-j", "link", "show", "dev", "eth0"])?;
        Ok(link.contains("\"operstate\":\"UP\"").then_some(()))
    })
}

/// Sets a port of the switch `up` or `down`. Its host sees the carrier come or go.
pub(super) fn port(internet: &Namespace, name: &str, state: &str) -> Result<()> {
    internet.ip_batch(&format!("link set {name} {state}\n"))
}

/// Whether a host has the peers' address.
pub(super) fn has(host: &Namespace) -> Result<bool> {
    let links: Value =
        serde_json::from_str(&host.run("ip", &["-j", "address", "show", "dev", "eth0"])?)?;
    let addresses = links[0]["addr_info"].as_array();
    Ok(addresses.is_some_and(|addresses| addresses.iter().any(|it| it["local"] == UNDERLAY)))
}

/// Gives a host the peers' address, as deploy/keepalived/relay.conf does.
pub(super) fn hold(host: &Namespace) -> Result<()> {
    host.ip_batch(&format!(
        "address replace {UNDERLAY}/32 dev eth0\n\
         route replace 192.0.2.0/24 dev eth0 src {UNDERLAY} table {TABLE}\n\
         route replace default via {GATEWAY} dev eth0 src {UNDERLAY} table {TABLE}\n\
         rule add ipproto udp sport {PORT} table {TABLE} priority 1000\n"
    ))
}

/// Takes it away. Its routes go with it.
pub(super) fn release(host: &Namespace) -> Result<()> {
    host.ip_batch(&format!(
        "address del {UNDERLAY}/32 dev eth0\n\
         rule del priority 1000\n"
    ))
}

/// Has the router ask who has which address.
pub(super) fn forget(internet: &Namespace) -> Result<()> {
    internet.ip_batch("neigh flush dev lan\n")
}

/// Drops at the switch what two hosts send to each other's own addresses.
pub(super) fn split(internet: &Namespace, one: usize, other: usize) -> Result<()> {
    let chain = |from: usize, to: usize| {
        format!(
            "chain from-{from}-to-{to} {{
                type filter hook ingress device \"{}\" priority -500;
                ip daddr {} drop
            }}\n",
            NAMES[from],
            address(to)
        )
    };
    let chains = chain(one, other) + &chain(other, one);
    // Another split of the same table adds to it.
    internet.feed("nft", &["-f", "-"], &format!("table netdev split {{ {chains} }}\n"))
}

/// Ends all splits.
pub(super) fn heal(internet: &Namespace) -> Result<()> {
    internet.run("nft", &["delete", "table", "netdev", "split"]).map(drop)
}
