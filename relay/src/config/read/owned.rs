//! Which owned prefixes an entry of `allowed_ips` covers.

use ipnet::IpNet;

use crate::model::{Relay, host_prefix};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Relay,
    /// By its place in `relay.peers`.
    Peer(usize),
}

/// Owned prefixes in the order of the address space.
pub(super) struct Owned {
    sorted: Vec<(IpNet, Owner)>,
    /// Prefix lengths that occur, IPv4 and IPv6, longest first.
    lengths: [Vec<u8>; 2],
}

impl Owned {
    pub(super) fn new(relay: &Relay) -> Self {
        let own = relay.addresses.iter().map(|net| (host_prefix(net.addr()), Owner::Relay));
        let peers = relay.peers.iter().enumerate();
        let peers = peers.flat_map(|(index, peer)| {
            peer.owned().map(move |network| (network, Owner::Peer(index)))
        });
        let mut sorted: Vec<_> = own.chain(peers).collect();
        sorted.sort_unstable();
        let lengths = [true, false].map(|is_v4| {
            let family = sorted.iter().filter(|(network, _)| network.addr().is_ipv4() == is_v4);
            let mut lengths: Vec<_> = family.map(|(network, _)| network.prefix_len()).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            lengths
        });
        Self { sorted, lengths }
    }

    /// The owned prefixes that share addresses with `entry`: those inside it, and the longest one
    /// around it.
    pub(super) fn covered(&self, entry: IpNet) -> impl Iterator<Item = (IpNet, Owner)> + '_ {
        let start = self.sorted.partition_point(|(network, _)| *network < entry);
        let last = entry.broadcast();
        let inside = self.sorted[start..].iter().take_while(move |(net, _)| net.addr() <= last);
        let exact = self.sorted.get(start).is_some_and(|(network, _)| *network == entry);
        let around = if exact { None } else { self.around(entry) };
        inside.copied().chain(around)
    }

    fn around(&self, entry: IpNet) -> Option<(IpNet, Owner)> {
        let lengths = &self.lengths[usize::from(entry.addr().is_ipv6())];
        let shorter = lengths.iter().filter(|&&len| len < entry.prefix_len());
        let mut wider =
            shorter.filter_map(|&len| Some(IpNet::new(entry.addr(), len).ok()?.trunc()));
        wider.find_map(|network| {
            let found = self.sorted.binary_search_by_key(&network, |(network, _)| *network);
            found.ok().map(|index| self.sorted[index])
        })
    }
}
