use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
};

use ipnet::IpNet;

use super::{Guard, HostAccess, InterfaceName, Peer};

/// One relay: a WireGuard interface, its settings and its peers.
///
/// A value of this type has passed every check of `config`: addresses lie in the overlay, no
/// address or key or name occurs twice, no prefix has two owners. Prefixes of different peers may
/// nest: the longest match owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The WireGuard interface that `relay up` creates.
    pub interface: InterfaceName,
    /// The relay's own overlay addresses; their networks are the overlay. Host bits are kept.
    pub addresses: Vec<IpNet>,
    /// UDP port on the underlay.
    pub listen_port: u16,
    /// `host:port` that peers dial; printed into peer configs.
    pub endpoint: Option<String>,
    /// File that holds the private key in base64; made by `relay up` when absent.
    pub private_key_file: PathBuf,
    /// MTU of the WireGuard interface, bytes.
    pub mtu: u16,
    /// Whether packets leave by redirect; otherwise the host's IP stack forwards them.
    pub fast_path: bool,
    /// What peers may reach on the relay itself.
    pub host_access: HostAccess,
    /// What becomes of packets for addresses nobody in the overlay owns.
    pub egress: Egress,
    /// Whether the netfilter table that fails closed is put up.
    pub fence: bool,
    /// Whether traffic is counted for each pair of peers too.
    pub pair_stats: bool,
    /// What stands on the underlay against forged messages; `None` is nothing.
    pub guard: Option<Guard>,
    /// The peers, in the order of the files.
    pub peers: Vec<Peer>,
}

impl Relay {
    /// Who owns an address by its longest prefix, and the place of that peer in [`Self::peers`].
    pub fn owner(&self, address: IpAddr) -> Option<(usize, &Peer)> {
        let owned = self
            .peers
            .iter()
            .enumerate()
            .flat_map(|(place, peer)| peer.owned().map(move |net| (net, (place, peer))));
        let holding = owned.filter(|(net, _)| net.contains(&address));
        holding.max_by_key(|(net, _)| net.prefix_len()).map(|(_, peer)| peer)
    }

    /// The peers that are not switched off.
    pub fn enabled(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.enabled)
    }

    /// The peer of a name, and its place in [`Self::peers`].
    pub fn named(&self, name: &str) -> Option<(usize, &Peer)> {
        self.peers.iter().enumerate().find(|(_, peer)| peer.name.as_str() == name)
    }
}

/// Who owns which prefix, for many questions about one relay.
#[derive(Debug)]
pub struct Owners<'r> {
    owned: HashMap<IpNet, &'r Peer>,
    /// Lengths that occur, longest first.
    lengths: Vec<u8>,
}

impl<'r> Owners<'r> {
    /// The owners at a relay.
    pub fn of(relay: &'r Relay) -> Self {
        let owned: HashMap<_, _> =
            relay.peers.iter().flat_map(|peer| peer.owned().map(move |net| (net, peer))).collect();
        let lengths: BTreeSet<_> = owned.keys().map(|net| Reverse(net.prefix_len())).collect();
        Self { owned, lengths: lengths.into_iter().map(|Reverse(length)| length).collect() }
    }

    /// Who owns an address by its longest prefix, as [`Relay::owner`] says it.
    pub fn owner(&self, address: IpAddr) -> Option<&'r Peer> {
        let around = |&length: &u8| Some(IpNet::new(address, length).ok()?.trunc());
        self.lengths.iter().filter_map(around).find_map(|net| self.owned.get(&net).copied())
    }
}

/// What becomes of packets for addresses that neither a peer nor the relay owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// They are refused.
    Deny,
    /// They are handed to the host's routing when the sender's `allowed_ips` hold them.
    Stack,
}
