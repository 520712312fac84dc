use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::{Dns, Limits, PeerName, PublicKey};

/// One peer, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Unique.
    pub name: PeerName,
    /// Free text, one line.
    pub description: Option<String>,
    /// A disabled peer keeps its addresses and routes, but WireGuard does not have its key, and it
    /// reaches nobody.
    pub enabled: bool,
    /// Its WireGuard public key.
    pub public_key: PublicKey,
    /// File that holds the preshared key in base64.
    pub preshared_key_file: Option<PathBuf>,
    /// Its addresses in the overlay.
    pub addresses: Vec<IpAddr>,
    /// Networks behind it, in or outside the overlay. Host bits are zero.
    pub routes: Vec<IpNet>,
    /// Whom it may talk to; also AllowedIPs of its client. Host bits are zero.
    pub allowed_ips: Vec<IpNet>,
    /// How fast its traffic may be, and how much.
    pub limits: Limits,
    /// Seconds between keepalives of its client; 0 is off.
    pub persistent_keepalive: u16,
    /// MTU of its client's interface, bytes.
    pub mtu: u16,
    /// Resolvers and search domains of its client.
    pub dns: Vec<Dns>,
    /// `host:port` that its client dials, if not `endpoint` of the relay.
    pub endpoint: Option<String>,
    /// `host:port` at which the relay reaches it, if it need not dial the relay first.
    pub own_endpoint: Option<String>,
}

impl Peer {
    /// A peer that owns nothing and may reach nobody. Everything else is what the configuration means
    /// by leaving it out.
    pub const fn new(name: PeerName, public_key: PublicKey) -> Self {
        Self {
            name,
            description: None,
            enabled: true,
            public_key,
            preshared_key_file: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            allowed_ips: Vec::new(),
            limits: Limits {
                rate_from: None,
                rate_to: None,
                quota: None,
                quota_from: None,
                quota_to: None,
            },
            persistent_keepalive: 25,
            mtu: 1280,
            dns: Vec::new(),
            endpoint: None,
            own_endpoint: None,
        }
    }

    /// What it owns: addresses as host prefixes, then routes. These are the kernel's allowed IPs
    /// of the peer on the relay.
    pub fn owned(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().copied().map(host_prefix).chain(self.routes.iter().copied())
    }

    /// Its `allowed_ips`, or nothing while it is disabled.
    pub fn may_reach(&self) -> &[IpNet] {
        if self.enabled { &self.allowed_ips } else { &[] }
    }
}

/// The prefix of one address: /32 or /128.
pub fn host_prefix(address: IpAddr) -> IpNet {
    IpNet::from(address)
}
