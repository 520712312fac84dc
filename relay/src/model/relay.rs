use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
};

use ipnet::IpNet;

use super::{
    Dns, Expectation, Group, Guard, HostAccess, InterfaceName, Mesh, Names, Peer, Rule, Webhook,
};

/// One relay: a WireGuard interface, its settings and its peers.
///
/// `config` has checked it: addresses are in the overlay, names and keys are unique, and no prefix has
/// two owners. Prefixes of different peers may nest: the longest match owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The WireGuard interface that `relay up` creates.
    pub interface: InterfaceName,
    /// The relay's addresses, with host bits; their networks are the overlay.
    pub addresses: Vec<IpNet>,
    /// UDP port on the underlay.
    pub listen_port: u16,
    /// `host:port` that peers dial; written into client configurations.
    pub endpoint: Option<String>,
    /// File with the private key in base64; created by `relay up` if absent.
    pub private_key_file: PathBuf,
    /// MTU of the WireGuard interface, bytes.
    pub mtu: u16,
    /// Whether packets to peers are redirected; otherwise the host's IP stack forwards them.
    pub fast_path: bool,
    /// What peers may reach on the relay itself.
    pub host_access: HostAccess,
    /// What happens to packets that leave the overlay.
    pub egress: Egress,
    /// Whether the fence, a netfilter table, drops packets while the programs are not attached.
    pub fence: bool,
    /// Whether traffic is counted for each pair of peers.
    pub pair_stats: bool,
    /// The guard on the underlay, if any.
    pub guard: Option<Guard>,
    /// Names of peers, if they are answered.
    pub names: Option<Names>,
    /// The relays of the site, if there are several.
    pub mesh: Option<Mesh>,
    /// The peers, in the order of the files.
    pub peers: Vec<Peer>,
    /// The groups, in the order of the file.
    pub groups: Vec<Group>,
    /// The rules, in the order of the files.
    pub rules: Vec<Rule>,
    /// What the policy must allow and must drop.
    pub tests: Vec<Expectation>,
    /// Servers that are told what happens, each with a name of its own.
    pub webhooks: Vec<Webhook>,
    /// AllowedIPs of clients.
    pub client_allowed_ips: ClientRoutes,
}

impl Relay {
    /// A relay without addresses and peers. Everything else is what the configuration means by leaving
    /// it out.
    pub fn new(interface: InterfaceName) -> Self {
        Self {
            interface,
            addresses: Vec::new(),
            listen_port: 51820,
            endpoint: None,
            private_key_file: "/etc/relay/private.key".into(),
            mtu: 1420,
            fast_path: true,
            host_access: HostAccess::Ping,
            egress: Egress::Deny,
            fence: true,
            pair_stats: false,
            guard: None,
            names: None,
            mesh: None,
            peers: Vec::new(),
            groups: Vec::new(),
            rules: Vec::new(),
            tests: Vec::new(),
            webhooks: Vec::new(),
            client_allowed_ips: ClientRoutes::Exact,
        }
    }

    /// The owner of an address by longest match, and its place in [`Self::peers`].
    pub fn owner(&self, address: IpAddr) -> Option<(usize, &Peer)> {
        let owned = self
            .peers
            .iter()
            .enumerate()
            .flat_map(|(place, peer)| peer.owned().map(move |net| (net, (place, peer))));
        let holding = owned.filter(|(net, _)| net.contains(&address));
        holding.max_by_key(|(net, _)| net.prefix_len()).map(|(_, peer)| peer)
    }

    /// The enabled peers.
    pub fn enabled(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.enabled)
    }

    /// Whether any rule has an end.
    pub fn has_ends(&self) -> bool {
        self.rules.iter().any(|rule| rule.until.is_some())
    }

    /// The relay's own addresses that a peer's client asks for names.
    pub fn asked_by<'r>(&'r self, peer: &'r Peer) -> impl Iterator<Item = IpAddr> + 'r {
        let own = self.addresses.iter().map(IpNet::addr);
        let is_asked = |own: &IpAddr| peer.dns.contains(&Dns::Resolver(*own));
        own.filter(move |own| self.names.is_some() && is_asked(own))
    }

    /// The peer of this name, and its place in [`Self::peers`].
    pub fn named(&self, name: &str) -> Option<(usize, &Peer)> {
        self.peers.iter().enumerate().find(|(_, peer)| peer.name.as_str() == name)
    }
}

/// An index of owned prefixes, for many look-ups.
#[derive(Debug)]
pub struct Owners<'r> {
    owned: HashMap<IpNet, &'r Peer>,
    /// Lengths in use, longest first.
    lengths: Vec<u8>,
}

impl<'r> Owners<'r> {
    /// Of all peers of a relay.
    pub fn of(relay: &'r Relay) -> Self {
        let owned: HashMap<_, _> =
            relay.peers.iter().flat_map(|peer| peer.owned().map(move |net| (net, peer))).collect();
        let lengths: BTreeSet<_> = owned.keys().map(|net| Reverse(net.prefix_len())).collect();
        Self { owned, lengths: lengths.into_iter().map(|Reverse(length)| length).collect() }
    }

    /// The owner of an address by longest match, as [`Relay::owner`].
    pub fn owner(&self, address: IpAddr) -> Option<&'r Peer> {
        let around = |&length: &u8| Some(IpNet::new(address, length).ok()?.trunc());
        self.lengths.iter().filter_map(around).find_map(|net| self.owned.get(&net).copied())
    }
}

/// What happens to packets for addresses that neither a peer nor the relay owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// They are dropped.
    Deny,
    /// The host's routing gets them if the sender's `allowed_ips` contain the destination.
    Stack,
}

/// What AllowedIPs of a client are: the setting `client_allowed_ips`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRoutes {
    /// What the policy lets the peer exchange packets with.
    Exact,
    /// That, and the networks of the overlay, so that a change of the policy needs no new file.
    Overlay,
}
