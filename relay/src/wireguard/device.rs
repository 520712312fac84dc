use std::{io, net::SocketAddr, time::SystemTime};

use ipnet::IpNet;

use super::{WireguardError, netlink::Dump};
use crate::model::{InterfaceName, PresharedKey, PublicKey};

const REQUEST: &str = "WG_CMD_GET_DEVICE";

/// `WG_CMD_GET_DEVICE` and `WGDEVICE_A_IFNAME` of include/uapi/linux/wireguard.h.
const GET_DEVICE: u8 = 0;
const NAME: u16 = 2;

/// Number of reads before an error is returned.
const READS_MAX: usize = 8;

/// A WireGuard interface in the kernel. Contains the public key that belongs to its private key, which
/// suffices for a comparison, and not the private key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
/// The kernel dumps in parts, without a lock between them. If the configuration changed meanwhile, it
/// is read again.
///
/// # Errors
/// The kernel has no WireGuard, the caller lacks permission, or the configuration keeps changing.
pub fn read(interface: &InterfaceName) -> Result<Option<Device>, WireguardError> {
    for _ in 0..READS_MAX {
        match dump(interface) {
            Ok(Some(device)) => return Ok(Some(device)),
            Ok(None) => {}
            Err(error) => {
                let error = WireguardError::of_request(REQUEST, interface, &error);
                if matches!(error, WireguardError::NoInterface { .. }) {
                    return Ok(None);
                }
                return Err(error);
            }
        }
    }
    Err(WireguardError::Unstable { interface: interface.clone(), reads: READS_MAX })
}

/// `None` if the configuration changed meanwhile.
fn dump(interface: &InterfaceName) -> io::Result<Option<Device>> {
    let mut device = Device::default();
    let attribute = (NAME, interface.as_str());
    let dump = Dump { family: "wireguard", command: GET_DEVICE, attribute };
    let is_whole = dump.read(|message| {
        device.add(message).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    })?;
    for peer in &mut device.peers {
        peer.allowed_ips.sort_unstable();
        peer.allowed_ips.dedup();
    }
    device.peers.sort_unstable_by_key(|peer| peer.public_key);
    Ok(is_whole.then_some(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_device_contains_no_secret() {
        let peer = DevicePeer {
            preshared_key: PresharedKey::from_bytes(&[7; 32]),
            ..DevicePeer::new(PublicKey::from_bytes([1; 32]))
        };
        assert!(format!("{peer:?}").contains("(hidden)"));
    }
}
