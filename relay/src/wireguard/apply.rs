use std::io;

use wireguard_control::{Backend, DeviceUpdate, Key, PeerConfigBuilder};

use super::{
    Change, WireguardError,
    update::{PeerUpdate, Update},
};
use crate::model::InterfaceName;

const REQUEST: &str = "WG_CMD_SET_DEVICE";

/// Applies one half of a plan to an existing interface, with as many peers in one message as fit. Peers
/// without a change are not touched.
///
/// The kernel applies the parts of a message one by one and stops at the first error. The port comes
/// first, so that a port in use changes nothing.
///
/// # Errors
/// There is no such interface, the port is in use, or the caller lacks permission.
pub fn apply(interface: &InterfaceName, changes: &[Change]) -> Result<(), WireguardError> {
    if changes.is_empty() {
        return Ok(());
    }
    // The netlink crate would create a missing interface. Creating it is a step of its own: nothing
    // that carries packets may exist before the policy is attached.
    require(interface)?;
    apply_through(interface, changes, Backend::Kernel)
}

/// Removes all peers of an existing interface with one message.
///
/// The kernel waits for a grace period of RCU for each peer. Here it holds the lock of routing netlink,
/// so that it expedites them (`wg_set_device()`, drivers/net/wireguard/netlink.c; `synchronize_net()`,
/// net/core/dev.c, 6.12). When an interface with peers is deleted, it does not: that takes
/// milliseconds a peer.
///
/// # Errors
/// There is no such interface, or the caller lacks permission.
pub fn remove_peers(interface: &InterfaceName) -> Result<(), WireguardError> {
    require(interface)?;
    let request = DeviceUpdate::new().replace_peers();
    request
        .apply(&foreign_name(interface)?, Backend::Kernel)
        .map_err(|error| WireguardError::of_request(REQUEST, interface, &error))
}

pub(super) fn apply_through(
    interface: &InterfaceName,
    changes: &[Change],
    backend: Backend,
) -> Result<(), WireguardError> {
    let update = Update::of(changes);
    let port = update.listen_port;
    request(&update).apply(&foreign_name(interface)?, backend).map_err(|error| {
        match (error.raw_os_error(), port) {
            (Some(libc::EADDRINUSE), Some(port)) => {
                WireguardError::PortInUse { interface: interface.clone(), port }
            }
            _ => WireguardError::of_request(REQUEST, interface, &error),
        }
    })
}

/// A name as a type of the netlink crate.
fn foreign_name(
    interface: &InterfaceName,
) -> Result<wireguard_control::InterfaceName, WireguardError> {
    interface
        .as_str()
        .parse()
        .map_err(|reason| WireguardError::Name { interface: interface.clone(), reason })
}

fn require(interface: &InterfaceName) -> Result<(), WireguardError> {
    let failed = |error: io::Error| WireguardError::of_request("RTM_GETLINK", interface, &error);
    let name = foreign_name(interface)?;
    let present = wireguard_control::Device::list(Backend::Kernel).map_err(failed)?;
    if present.contains(&name) {
        return Ok(());
    }
    Err(WireguardError::NoInterface { interface: interface.clone() })
}

fn request(update: &Update<'_>) -> DeviceUpdate {
    let mut request = DeviceUpdate::new();
    if let Some(key) = update.private_key {
        request = request.set_private_key(Key(*key.as_bytes()));
    }
    if let Some(port) = update.listen_port {
        request = request.set_listen_port(port);
    }
    update.peers.iter().map(peer_request).fold(request, DeviceUpdate::add_peer)
}

fn peer_request(peer: &PeerUpdate<'_>) -> PeerConfigBuilder {
    let mut request = PeerConfigBuilder::new(&Key(*peer.public_key.as_bytes()));
    if peer.remove {
        return request.remove();
    }
    match peer.preshared_key {
        None => {}
        Some(None) => request = request.unset_preshared_key(),
        Some(Some(key)) => request = request.set_preshared_key(Key(*key.as_bytes())),
    }
    if peer.replace {
        request = request.replace_allowed_ips();
    }
    if let Some(endpoint) = peer.endpoint {
        request = request.set_endpoint(endpoint);
    }
    if let Some(seconds) = peer.keepalive {
        request = request.set_persistent_keepalive_interval(seconds);
    }
    peer.allowed_ips
        .iter()
        .fold(request, |request, prefix| request.add_allowed_ip(prefix.addr(), prefix.prefix_len()))
}
