use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::{Dns, PeerName, PublicKey};

/// One peer, with the site's defaults already filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name in every output.
    pub name: PeerName,
    /// A line about it, for people.
    pub description: Option<String>,
    /// Whether it takes part. A peer that is off keeps what it owns, so that nobody else gets it,
    /// but the kernel does not know its key and its list holds nobody.
    pub enabled: bool,
    /// Its WireGuard public key.
    pub public_key: PublicKey,
    /// File that holds the preshared key in base64.
    pub preshared_key_file: Option<PathBuf>,
    /// Addresses it owns inside the overlay.
    pub addresses: Vec<IpAddr>,
    /// Networks reached through it, outside or inside the overlay. Host bits are zero.
    pub routes: Vec<IpNet>,
    /// Whom it may talk to; also its own client's AllowedIPs. Host bits are zero.
    pub allowed_ips: Vec<IpNet>,
    /// Seconds between keepalives its client sends; 0 is off.
    pub persistent_keepalive: u16,
    /// MTU of its client's interface, bytes.
    pub mtu: u16,
    /// Resolvers and search domains of its client.
    pub dns: Vec<Dns>,
    /// `host:port` its client dials, when it differs from the relay's `endpoint`.
    pub endpoint: Option<String>,
}

impl Peer {
    /// What it owns: addresses as host prefixes, then routes. These are the kernel's allowed IPs
    /// of the peer on the relay.
    pub fn owned(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().copied().map(host_prefix).chain(self.routes.iter().copied())
    }

    /// Whom it may talk to as things stand: nobody while it is off.
    pub fn may_reach(&self) -> &[IpNet] {
        if self.enabled { &self.allowed_ips } else { &[] }
    }
}

/// The prefix that covers one address alone: /32 or /128.
pub fn host_prefix(address: IpAddr) -> IpNet {
    IpNet::from(address)
}
