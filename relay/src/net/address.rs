//! Addresses of the WireGuard interface and of the host.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::{
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressMessage},
    },
};

use super::{Handle, NetError, lookup};
use crate::model::InterfaceName;

/// A change of the interface's addresses. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChange {
    /// Remove an address that is not desired.
    Remove {
        /// Address with its prefix length.
        address: IpNet,
        /// Interface.
        interface: InterfaceName,
    },
    /// Add a missing address.
    Add {
        /// Address with its prefix length.
        address: IpNet,
        /// Interface.
        interface: InterfaceName,
    },
}

/// Plans the changes from the observed to the desired addresses, removals first. IPv6 link-local
/// addresses, which the kernel adds itself, stay.
pub fn plan(
    interface: &InterfaceName,
    desired: &[IpNet],
    observed: &[IpNet],
) -> Vec<AddressChange> {
    let unwanted = observed
        .iter()
        .filter(|address| !desired.contains(address) && !is_link_local(address))
        .map(|&address| AddressChange::Remove { address, interface: interface.clone() });
    let missing = desired
        .iter()
        .filter(|address| !observed.contains(address))
        .map(|&address| AddressChange::Add { address, interface: interface.clone() });
    unwanted.chain(missing).collect()
}

/// Gives the interface exactly these addresses. The kernel adds the routes to their networks.
///
/// # Errors
/// There is no such interface, the kernel does not accept an address, or the caller lacks permission.
pub async fn apply(
    handle: &Handle,
    interface: &InterfaceName,
    desired: &[IpNet],
) -> Result<(), NetError> {
    let index = lookup::index(handle, interface).await?;
    let observed = read(handle, index).await?;
    for change in plan(interface, desired, &observed) {
        if let AddressChange::Remove { address, .. } = change {
            remove(handle, index, address).await?;
        }
    }
    // The kernel removes the other IPv4 addresses of a network with the first, unless
    // promote_secondaries is set.
    let observed = read(handle, index).await?;
    for change in plan(interface, desired, &observed) {
        if let AddressChange::Add { address, .. } = change {
            add(handle, index, address).await?;
        }
    }
    Ok(())
}

/// All addresses of the host in this network namespace, sorted, without duplicates: of all links, up
/// or down, including loopback, link-local ones and the relay's own.
///
/// # Errors
/// The kernel did not answer.
pub async fn host_addresses(handle: &Handle) -> Result<Vec<IpAddr>, NetError> {
    Ok(once(dump(handle, 0).await?))
}

/// All addresses of the host except those of one interface.
///
/// # Errors
/// The kernel did not answer.
pub async fn host_addresses_beside(
    handle: &Handle,
    interface: &InterfaceName,
) -> Result<Vec<IpAddr>, NetError> {
    let own = lookup::find(handle, interface).await?.map(|link| link.header.index);
    let mut addresses = dump(handle, 0).await?;
    addresses.retain(|(of, _)| Some(*of) != own);
    Ok(once(addresses))
}

fn once(addresses: Vec<(u32, IpNet)>) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = addresses.iter().map(|(_, address)| address.addr()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Addresses of the link with this index, sorted.
pub(super) async fn read(handle: &Handle, index: u32) -> Result<Vec<IpNet>, NetError> {
    let mut addresses: Vec<IpNet> = dump(handle, index)
        .await?
        .into_iter()
        .filter_map(|(of, address)| (of == index).then_some(address))
        .collect();
    addresses.sort_unstable();
    Ok(addresses)
}

/// Link index and address; of all links for index 0.
async fn dump(handle: &Handle, index: u32) -> Result<Vec<(u32, IpNet)>, NetError> {
    let mut message = AddressMessage::default();
    message.header.index = index;
    let request = RouteNetlinkMessage::GetAddress(message);
    let answers = handle.dump("RTM_GETADDR", "addresses", request).await?;
    Ok(answers
        .iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => {
                Some((message.header.index, own_address(message)?))
            }
            _ => None,
        })
        .collect())
}

/// On a point-to-point link IFA_ADDRESS is the remote address and IFA_LOCAL the link's own.
fn own_address(message: &AddressMessage) -> Option<IpNet> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    IpNet::new(local.or(address)?, message.header.prefix_len).ok()
}

async fn add(handle: &Handle, index: u32, address: IpNet) -> Result<(), NetError> {
    let mut message = message(index, address);
    if address.addr().is_ipv6() {
        // A link without neighbours needs no duplicate address detection.
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    let request = RouteNetlinkMessage::NewAddress(message);
    handle.change("RTM_NEWADDR", &address.to_string(), request, NLM_F_CREATE | NLM_F_EXCL).await
}

async fn remove(handle: &Handle, index: u32, address: IpNet) -> Result<(), NetError> {
    let request = RouteNetlinkMessage::DelAddress(message(index, address));
    match handle.change("RTM_DELADDR", &address.to_string(), request, 0).await {
        Err(error) if error.os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
        outcome => outcome,
    }
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match address {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.index = index;
    message.header.prefix_len = address.prefix_len();
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    message
}

fn is_link_local(address: &IpNet) -> bool {
    match address {
        IpNet::V4(_) => false,
        IpNet::V6(address) => address.addr().is_unicast_link_local(),
    }
}

impl fmt::Display for AddressChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove { address, interface } => {
                write!(f, "- address {address} on {interface}")
            }
            Self::Add { address, interface } => write!(f, "+ address {address} on {interface}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_come_first_and_link_local_addresses_stay() {
        let interface = "relay0".parse().expect("a name");
        let observed = nets(&["10.3.2.9/24", "fd00::1/64", "fe80::1/64"]);
        let desired = nets(&["10.3.2.1/24", "fd00::1/64"]);
        let text: Vec<String> =
            plan(&interface, &desired, &observed).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["- address 10.3.2.9/24 on relay0", "+ address 10.3.2.1/24 on relay0"]);
    }

    #[test]
    fn an_address_with_another_prefix_length_is_replaced() {
        let interface = "relay0".parse().expect("a name");
        let changes = plan(&interface, &nets(&["10.3.2.1/24"]), &nets(&["10.3.2.1/16"]));
        assert_eq!(changes.len(), 2);
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a prefix")).collect()
    }
}
