use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::value::taken_by_network;
use crate::model::{Relay, host_prefix};

/// Every address of a network of the overlay is somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no free address left; remove peers, or give the relay a wider network")]
pub struct NoFreeAddress(pub IpNet);

/// The lowest free address of each network of the overlay: neither the relay's, nor a peer's, nor
/// behind a peer, nor the network's own.
///
/// # Errors
/// A network is full.
pub fn free_addresses(relay: &Relay) -> Result<Vec<IpAddr>, NoFreeAddress> {
    let owned = || relay.peers.iter().flat_map(|peer| peer.owned());
    relay.addresses.iter().map(|network| free_address(*network, owned())).collect()
}

/// The lowest free address of the relay's `network`, of which peers own these prefixes.
pub(super) fn free_address(
    network: IpNet,
    owned: impl Iterator<Item = IpNet>,
) -> Result<IpAddr, NoFreeAddress> {
    let own = network.trunc();
    let inside = owned.filter(|prefix| own.contains(prefix));
    let taken = inside.chain([host_prefix(network.addr())]);
    let mut ranges: Vec<(u128, u128)> =
        taken.map(|prefix| (number(prefix.network()), number(prefix.broadcast()))).collect();
    for end in [own.network(), own.broadcast()] {
        if taken_by_network(end, &own).is_some() {
            ranges.push((number(end), number(end)));
        }
    }
    ranges.sort_unstable();
    let mut candidate = number(own.network());
    for (first, last) in ranges {
        if first > candidate {
            break;
        }
        candidate = candidate.max(last.saturating_add(1));
    }
    let free = if candidate > number(own.broadcast()) { None } else { address(candidate, &own) };
    free.ok_or(NoFreeAddress(own))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, family: &IpNet) -> Option<IpAddr> {
    match family {
        IpNet::V4(_) => u32::try_from(number).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpNet::V6(_) => Some(Ipv6Addr::from_bits(number).into()),
    }
}
