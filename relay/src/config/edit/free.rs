use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::{
    config::read::taken_by_network,
    model::{Relay, host_prefix},
};

/// All addresses of an overlay network are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no free address left; give the relay a wider network")]
pub struct NoFreeAddress(pub IpNet);

/// The lowest free address of each overlay network: not the relay's, not owned by a peer, and not
/// reserved for the network itself.
///
/// # Errors
/// A network is full.
pub fn free_addresses(relay: &Relay) -> Result<Vec<IpAddr>, NoFreeAddress> {
    let owned = || relay.peers.iter().flat_map(|peer| peer.owned());
    relay.addresses.iter().map(|network| Free::of(*network, owned()).take()).collect()
}

/// The free addresses of one overlay network, lowest first.
pub(in crate::config) struct Free {
    network: IpNet,
    /// Taken ranges, first and last, ascending.
    taken: std::vec::IntoIter<(u128, u128)>,
    /// The next taken range.
    next: Option<(u128, u128)>,
    /// No lower address is free.
    candidate: u128,
}

impl Free {
    /// Of the relay's `network`, without the `owned` prefixes.
    pub(in crate::config) fn of(network: IpNet, owned: impl Iterator<Item = IpNet>) -> Self {
        let own = network.trunc();
        let inside = owned.filter(|prefix| own.contains(prefix));
        let prefixes = inside.chain([host_prefix(network.addr())]);
        let mut taken: Vec<(u128, u128)> =
            prefixes.map(|prefix| (number(prefix.network()), number(prefix.broadcast()))).collect();
        for end in [own.network(), own.broadcast()] {
            if taken_by_network(end, &own).is_some() {
                taken.push((number(end), number(end)));
            }
        }
        taken.sort_unstable();
        let mut taken = taken.into_iter();
        let next = taken.next();
        Self { network: own, candidate: number(own.network()), taken, next }
    }

    /// Takes the lowest free address.
    ///
    /// # Errors
    /// None is left.
    pub(in crate::config) fn take(&mut self) -> Result<IpAddr, NoFreeAddress> {
        while let Some((first, last)) = self.next
            && first <= self.candidate
        {
            self.candidate = self.candidate.max(last.saturating_add(1));
            self.next = self.taken.next();
        }
        let is_inside = self.candidate <= number(self.network.broadcast());
        let free = if is_inside { address(self.candidate, &self.network) } else { None };
        self.candidate = self.candidate.saturating_add(1);
        free.ok_or(NoFreeAddress(self.network))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_free_address_is_given_once_until_there_is_none() {
        let network: IpNet = "10.8.0.1/29".parse().expect("a network");
        let owned = ["10.8.0.3/32", "10.8.0.4/31", "10.8.0.4/32", "10.0.0.0/8", "10.9.0.2/32"];
        let owned = owned.map(|net| net.parse::<IpNet>().expect("a network"));
        let mut free = Free::of(network, owned.into_iter());
        let mut take = || free.take().map(|address| address.to_string());
        assert_eq!(take(), Ok("10.8.0.2".to_owned()));
        assert_eq!(take(), Ok("10.8.0.6".to_owned()));
        assert_eq!(take(), Err(NoFreeAddress(network.trunc())));
    }
}
