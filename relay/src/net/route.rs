//! Routes to the networks behind peers.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
};

use ipnet::IpNet;
use rtnetlink::{
    RouteMessageBuilder,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol,
            RouteScope, RouteType,
        },
    },
};

use super::{Handle, NetError, lookup};
use crate::model::{InterfaceName, Relay};

/// The routing protocol number of relay's routes (`proto 119` in `ip route`), from the range that
/// rtnetlink(7) leaves to users. Routes with another number are never removed.
pub const PROTOCOL: u8 = 0x77;

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination, host bits zero.
    pub destination: IpNet,
    /// Output interface; `None` if there are several or none.
    pub interface: Option<String>,
    /// Routing protocol number; [`PROTOCOL`] for relay's own.
    pub protocol: u8,
}

/// A change of the routes. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Remove a route of ours that is not desired.
    Remove {
        /// Destination.
        destination: IpNet,
        /// Interface.
        interface: InterfaceName,
    },
    /// Add a missing route.
    Add {
        /// Destination.
        destination: IpNet,
        /// Interface.
        interface: InterfaceName,
    },
}

/// The networks that need a route: the `routes` of all peers outside the overlay's networks, sorted. A
/// default route of a peer serves the other peers only; the host keeps its own.
pub fn desired(relay: &Relay) -> Vec<IpNet> {
    let mut destinations: Vec<IpNet> = relay
        .peers
        .iter()
        .flat_map(|peer| &peer.routes)
        .filter(|route| route.prefix_len() > 0)
        .filter(|route| !relay.addresses.iter().any(|overlay| overlay.contains(*route)))
        .map(IpNet::trunc)
        .collect();
    destinations.sort_unstable();
    destinations.dedup();
    destinations
}

/// Plans the changes from the observed to the desired routes, removals first.
///
/// # Errors
/// A desired destination has a route through another interface.
pub fn plan(
    interface: &InterfaceName,
    desired: &[IpNet],
    observed: &[Route],
) -> Result<Vec<RouteChange>, NetError> {
    let is_here = |route: &Route| route.interface.as_deref() == Some(interface.as_str());
    let wanted: HashSet<IpNet> = desired.iter().copied().collect();
    let mut routes: HashMap<IpNet, Vec<&Route>> = HashMap::new();
    for route in observed.iter().filter(|route| wanted.contains(&route.destination)) {
        routes.entry(route.destination).or_default().push(route);
    }
    let mut changes: Vec<RouteChange> = observed
        .iter()
        .filter(|route| is_here(route) && route.protocol == PROTOCOL)
        .filter(|route| !wanted.contains(&route.destination))
        .map(|route| RouteChange::Remove {
            destination: route.destination,
            interface: interface.clone(),
        })
        .collect();
    for &destination in desired {
        let Some(same) = routes.get(&destination) else {
            changes.push(RouteChange::Add { destination, interface: interface.clone() });
            continue;
        };
        if let Some(other) = same.iter().find(|route| !is_here(route)) {
            return Err(NetError::RouteConflict {
                destination,
                interface: interface.clone(),
                through: other
                    .interface
                    .clone()
                    .unwrap_or_else(|| "no single interface".to_owned()),
            });
        }
    }
    Ok(changes)
}

/// Reads the main table, IPv4 and IPv6.
///
/// # Errors
/// The kernel did not answer.
pub async fn read(handle: &Handle) -> Result<Vec<Route>, NetError> {
    let links = lookup::all(handle).await?;
    let named = links.iter().filter_map(|link| {
        let name = lookup::name(link)?;
        Some((link.header.index, name.to_owned()))
    });
    let names: HashMap<u32, String> = named.collect();
    let routes = main_table(handle).await?;
    Ok(routes.iter().filter_map(|message| route(message, &names)).collect())
}

/// Indices of the output interfaces of default routes in the main table, IPv4 and IPv6.
pub(super) async fn defaults(handle: &Handle) -> Result<Vec<u32>, NetError> {
    let mut indices = Vec::new();
    let routes = main_table(handle).await?;
    let is_default = |route: &&RouteMessage| {
        // Some kernels have an unreachable default route for IPv6.
        route.header.destination_prefix_length == 0 && route.header.kind == RouteType::Unicast
    };
    for attribute in routes.iter().filter(is_default).flat_map(|route| &route.attributes) {
        match attribute {
            RouteAttribute::Oif(index) => indices.push(*index),
            RouteAttribute::MultiPath(hops) => {
                indices.extend(hops.iter().map(|hop| hop.interface_index));
            }
            _ => {}
        }
    }
    Ok(indices)
}

async fn main_table(handle: &Handle) -> Result<Vec<RouteMessage>, NetError> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let request = RouteNetlinkMessage::GetRoute(message);
        let answers = handle.dump("RTM_GETROUTE", "the main table", request).await?;
        routes.extend(answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message)
                if message.header.address_family == family && is_main(&message) =>
            {
                Some(message)
            }
            _ => None,
        }));
    }
    Ok(routes)
}

/// Gives the interface, which must be up, exactly the desired routes.
///
/// # Errors
/// A destination has a route through another interface, the interface is down or missing, or the
/// caller lacks permission.
pub async fn apply(
    handle: &Handle,
    interface: &InterfaceName,
    desired: &[IpNet],
) -> Result<(), NetError> {
    let changes = plan(interface, desired, &read(handle).await?)?;
    if changes.is_empty() {
        return Ok(());
    }
    let index = lookup::index(handle, interface).await?;
    for change in changes {
        match change {
            RouteChange::Remove { destination, .. } => remove(handle, index, destination).await?,
            RouteChange::Add { destination, .. } => add(handle, index, destination).await?,
        }
    }
    Ok(())
}

async fn add(handle: &Handle, index: u32, destination: IpNet) -> Result<(), NetError> {
    let request = RouteNetlinkMessage::NewRoute(message(index, destination)?);
    handle
        .change("RTM_NEWROUTE", &destination.to_string(), request, NLM_F_CREATE | NLM_F_EXCL)
        .await
}

async fn remove(handle: &Handle, index: u32, destination: IpNet) -> Result<(), NetError> {
    let request = RouteNetlinkMessage::DelRoute(message(index, destination)?);
    match handle.change("RTM_DELROUTE", &destination.to_string(), request, 0).await {
        Err(error) if error.os_error() == Some(libc::ESRCH) => Ok(()),
        outcome => outcome,
    }
}

fn message(index: u32, destination: IpNet) -> Result<RouteMessage, NetError> {
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination.network(), destination.prefix_len())
        .map_err(|error| NetError::Answer {
            request: "RTM_NEWROUTE",
            object: destination.to_string(),
            reason: error.to_string(),
        })?;
    // Without a gateway the scope is that of the link; IPv6 has no scopes.
    let scope = match destination {
        IpNet::V4(_) => RouteScope::Link,
        IpNet::V6(_) => RouteScope::Universe,
    };
    Ok(builder.output_interface(index).protocol(RouteProtocol::from(PROTOCOL)).scope(scope).build())
}

/// Whether a route is in the main table, and not a cached clone.
fn is_main(message: &RouteMessage) -> bool {
    let table = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    table.unwrap_or_else(|| u32::from(message.header.table))
        == u32::from(RouteHeader::RT_TABLE_MAIN)
        && !message.header.flags.contains(RouteFlags::Cloned)
}

fn route(message: &RouteMessage, names: &HashMap<u32, String>) -> Option<Route> {
    let network = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    let everything = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        _ => IpAddr::from([0; 16]),
    };
    let destination =
        IpNet::new(network.unwrap_or(everything), message.header.destination_prefix_length).ok()?;
    let interface = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => names.get(index).cloned(),
        _ => None,
    });
    Some(Route {
        destination: destination.trunc(),
        interface,
        protocol: message.header.protocol.into(),
    })
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove { destination, interface } => {
                write!(f, "- route {destination} on {interface}")
            }
            Self::Add { destination, interface } => {
                write!(f, "+ route {destination} on {interface}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Peer, PublicKey};

    #[test]
    fn only_networks_outside_the_overlay_need_a_route() {
        let relay = Relay {
            addresses: nets(&["10.3.2.1/24", "fd00::3:2:1/120"]),
            peers: vec![
                peer(2, &["192.168.40.0/24", "10.3.2.128/25"]),
                peer(3, &["fd00::3:2:80/121", "10.3.0.0/16"]),
            ],
            ..Relay::new(relay0())
        };
        assert_eq!(desired(&relay), nets(&["10.3.0.0/16", "192.168.40.0/24"]));
    }

    #[test]
    fn only_our_own_routes_are_removed() {
        let observed = [
            route("192.168.1.0/24", "relay0", PROTOCOL),
            route("192.168.2.0/24", "relay0", 4),
            route("192.168.3.0/24", "eth0", PROTOCOL),
            route("192.168.4.0/24", "relay0", PROTOCOL),
        ];
        let desired = nets(&["192.168.4.0/24", "192.168.5.0/24"]);
        assert_eq!(
            texts(&plan(&relay0(), &desired, &observed).expect("a plan")),
            ["- route 192.168.1.0/24 on relay0", "+ route 192.168.5.0/24 on relay0"]
        );
    }

    #[test]
    fn a_foreign_route_through_the_interface_suffices() {
        let observed = [route("192.168.2.0/24", "relay0", 4)];
        let changes = plan(&relay0(), &nets(&["192.168.2.0/24"]), &observed).expect("a plan");
        assert_eq!(changes, []);
    }

    #[test]
    fn the_same_destination_elsewhere_conflicts_and_a_wider_one_does_not() {
        let observed = [route("192.168.2.0/24", "eth0", 3), route("192.168.0.0/16", "eth0", 3)];
        let desired = nets(&["192.168.2.0/24"]);
        let error = plan(&relay0(), &desired, &observed).expect_err("a conflict");
        assert_eq!(
            error.to_string(),
            "route 192.168.2.0/24: found in the main table through eth0, expected relay0; remove that \
             route, or 192.168.2.0/24 from the peer's routes"
        );
        assert!(plan(&relay0(), &nets(&["192.168.3.0/24"]), &observed).is_ok());
    }

    #[test]
    fn a_blackhole_conflicts_too() {
        let observed = [Route { interface: None, ..route("192.168.2.0/24", "", 4) }];
        assert!(plan(&relay0(), &nets(&["192.168.2.0/24"]), &observed).is_err());
    }

    fn peer(key: u8, routes: &[&str]) -> Peer {
        Peer {
            routes: nets(routes),
            ..Peer::new(
                format!("node-{key}").parse().expect("a name"),
                PublicKey::from_bytes([key; 32]),
            )
        }
    }

    fn relay0() -> InterfaceName {
        "relay0".parse().expect("a name")
    }

    fn route(destination: &str, interface: &str, protocol: u8) -> Route {
        Route {
            destination: destination.parse().expect("a prefix"),
            interface: Some(interface.to_owned()),
            protocol,
        }
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a prefix")).collect()
    }

    fn texts(changes: &[RouteChange]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }
}
