use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::SocketAddr,
    time::SystemTime,
};

use ipnet::IpNet;
use wireguard_control::{AllowedIp, Backend, Key, PeerInfo};
use zeroize::Zeroize;

use super::WireguardError;
use crate::model::{InterfaceName, PresharedKey, PublicKey};

const REQUEST: &str = "WG_CMD_GET_DEVICE";

/// Number of reads before an error is returned.
const READS_MAX: usize = 8;

/// A WireGuard interface in the kernel. Contains the public key that belongs to its private key, which
/// suffices for a comparison, and not the private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Public key; `None` if there is no private key.
    pub public_key: Option<PublicKey>,
    /// UDP port; 0 if none is set.
    pub listen_port: u16,
    /// Mark of the packets that it sends on the underlay; 0 is none.
    pub fwmark: u32,
    /// Peers, sorted by public key.
    pub peers: Vec<DevicePeer>,
}

/// A peer of a [`Device`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePeer {
    /// Public key.
    pub public_key: PublicKey,
    /// Preshared key, redacted when formatted.
    pub preshared_key: Option<PresharedKey>,
    /// Source of its last authenticated packet.
    pub endpoint: Option<SocketAddr>,
    /// Interval of keepalives from this side, seconds; `None` is off.
    pub persistent_keepalive: Option<u16>,
    /// Allowed IPs, sorted, host bits zero.
    pub allowed_ips: Vec<IpNet>,
    /// Time of its latest handshake; `None` if there was none.
    pub latest_handshake: Option<SystemTime>,
    /// Encrypted bytes received from it, handshakes and keepalives included.
    pub rx_bytes: u64,
    /// Encrypted bytes sent to it, handshakes and keepalives included.
    pub tx_bytes: u64,
}

#[cfg(test)]
impl DevicePeer {
    /// A peer with its key and nothing else.
    pub(crate) const fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            persistent_keepalive: None,
            allowed_ips: Vec::new(),
            latest_handshake: None,
            rx_bytes: 0,
            tx_bytes: 0,
        }
    }
}

/// Reads a WireGuard interface; `None` if there is none of that name.
///
/// The kernel dumps in parts, without a lock between them, and flags an inconsistent dump with
/// `NLM_F_DUMP_INTR`. The netlink crate hides that flag, so the interface is read until two successive
/// reads have the same configuration.
///
/// # Errors
/// The kernel has no WireGuard, the caller lacks permission, or the configuration keeps changing.
pub fn read(interface: &InterfaceName) -> Result<Option<Device>, WireguardError> {
    read_through(interface, Backend::Kernel)
}

pub(super) fn read_through(
    interface: &InterfaceName,
    backend: Backend,
) -> Result<Option<Device>, WireguardError> {
    let mut previous: Option<Device> = None;
    for _ in 0..READS_MAX {
        let current = match dump(interface, backend) {
            Ok(current) => current,
            Err(WireguardError::NoInterface { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if previous.is_some_and(|previous| same_configuration(&previous, &current)) {
            return Ok(Some(current));
        }
        previous = Some(current);
    }
    Err(WireguardError::Unstable { interface: interface.clone(), reads: READS_MAX })
}

/// A name as a type of the netlink crate.
pub(super) fn foreign_name(
    interface: &InterfaceName,
) -> Result<wireguard_control::InterfaceName, WireguardError> {
    interface
        .as_str()
        .parse()
        .map_err(|reason| WireguardError::Name { interface: interface.clone(), reason })
}

fn dump(interface: &InterfaceName, backend: Backend) -> Result<Device, WireguardError> {
    let name = foreign_name(interface)?;
    let mut device = wireguard_control::Device::get(&name, backend)
        .map_err(|error| WireguardError::of_request(REQUEST, interface, &error))?;
    wipe(&mut device.private_key);

    let mut peers = BTreeMap::new();
    for info in device.peers {
        let part = peer(info).ok_or_else(|| WireguardError::Answer {
            request: REQUEST,
            interface: interface.clone(),
            kind: io::ErrorKind::InvalidData,
        })?;
        merge(&mut peers, part);
    }
    let peers = peers
        .into_values()
        .map(|mut peer| {
            peer.allowed_ips.sort_unstable();
            peer.allowed_ips.dedup();
            peer
        })
        .collect();

    Ok(Device {
        public_key: device.public_key.map(|key| PublicKey::from_bytes(key.0)),
        listen_port: device.listen_port.unwrap_or(0),
        fwmark: device.fwmark.unwrap_or(0),
        peers,
    })
}

fn peer(mut info: PeerInfo) -> Option<DevicePeer> {
    let preshared_key =
        info.config.preshared_key.as_ref().and_then(|key| PresharedKey::from_bytes(&key.0));
    wipe(&mut info.config.preshared_key);
    Some(DevicePeer {
        public_key: PublicKey::from_bytes(info.config.public_key.0),
        preshared_key,
        endpoint: info.config.endpoint,
        persistent_keepalive: info
            .config
            .persistent_keepalive_interval
            .filter(|&seconds| seconds != 0),
        allowed_ips: info.config.allowed_ips.iter().map(prefix).collect::<Option<_>>()?,
        latest_handshake: info.stats.last_handshake_time,
        rx_bytes: info.stats.rx_bytes,
        tx_bytes: info.stats.tx_bytes,
    })
}

fn prefix(allowed: &AllowedIp) -> Option<IpNet> {
    IpNet::new(allowed.address, allowed.cidr).ok().map(|net| net.trunc())
}

/// Joins the parts of a peer whose allowed IPs do not fit into one message: the first part has
/// everything else, the others the key and more allowed IPs.
fn merge(peers: &mut BTreeMap<PublicKey, DevicePeer>, mut part: DevicePeer) {
    match peers.entry(part.public_key) {
        Entry::Vacant(vacant) => {
            vacant.insert(part);
        }
        Entry::Occupied(occupied) => {
            let whole = occupied.into_mut();
            whole.allowed_ips.append(&mut part.allowed_ips);
            whole.preshared_key = whole.preshared_key.take().or(part.preshared_key);
            whole.endpoint = whole.endpoint.or(part.endpoint);
            whole.persistent_keepalive = whole.persistent_keepalive.or(part.persistent_keepalive);
            whole.latest_handshake = whole.latest_handshake.max(part.latest_handshake);
            whole.rx_bytes = whole.rx_bytes.max(part.rx_bytes);
            whole.tx_bytes = whole.tx_bytes.max(part.tx_bytes);
        }
    }
}

/// Whether everything that traffic does not change is equal.
fn same_configuration(one: &Device, other: &Device) -> bool {
    one.public_key == other.public_key
        && one.listen_port == other.listen_port
        && one.fwmark == other.fwmark
        && one.peers.len() == other.peers.len()
        && one.peers.iter().zip(&other.peers).all(|(one, other)| {
            one.public_key == other.public_key
                && one.preshared_key == other.preshared_key
                && one.persistent_keepalive == other.persistent_keepalive
                && one.allowed_ips == other.allowed_ips
        })
}

fn wipe(key: &mut Option<Key>) {
    if let Some(mut key) = key.take() {
        key.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_peer_become_one_peer() {
        let first = part(&["10.0.0.1/32"], Some(25), 7);
        let second = part(&["10.0.0.2/32", "fd00::/64"], None, 0);
        let mut peers = BTreeMap::new();
        merge(&mut peers, first);
        merge(&mut peers, second);
        let whole = peers.into_values().next().expect("one peer");
        assert_eq!(whole.allowed_ips.len(), 3);
        assert_eq!((whole.persistent_keepalive, whole.rx_bytes), (Some(25), 7));
    }

    #[test]
    fn zeros_of_the_kernel_mean_none() {
        let mut info = PeerInfo::from_public_key(Key([1; 32]));
        info.config.preshared_key = Some(Key([0; 32]));
        info.config.persistent_keepalive_interval = Some(0);
        let peer = peer(info).expect("a peer");
        assert_eq!((peer.preshared_key, peer.persistent_keepalive), (None, None));
    }

    #[test]
    fn traffic_does_not_change_the_configuration_and_a_removed_prefix_does() {
        let device =
            |peer| Device { public_key: None, listen_port: 1, fwmark: 0, peers: vec![peer] };
        let quiet = device(part(&["10.0.0.1/32"], None, 0));
        let busy = device(part(&["10.0.0.1/32"], None, 9));
        let narrower = device(part(&[], None, 0));
        assert!(same_configuration(&quiet, &busy));
        assert!(!same_configuration(&quiet, &narrower));
    }

    #[test]
    fn a_formatted_device_contains_no_secret() {
        let mut peer = part(&[], None, 0);
        peer.preshared_key = PresharedKey::from_bytes(&[7; 32]);
        assert!(format!("{peer:?}").contains("(hidden)"));
    }

    fn part(allowed: &[&str], keepalive: Option<u16>, rx_bytes: u64) -> DevicePeer {
        DevicePeer {
            persistent_keepalive: keepalive,
            allowed_ips: allowed.iter().map(|net| net.parse().expect("a prefix")).collect(),
            rx_bytes,
            ..DevicePeer::new(PublicKey::from_bytes([1; 32]))
        }
    }
}
