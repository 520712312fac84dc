//! Sessions of WireGuard with peers.

use crate::{
    model::PeerName,
    wireguard::{Change, DesiredPeer, DevicePeer},
};

/// What makes WireGuard forget its session with a peer, its endpoint and its timers, and nothing else:
/// the peer is removed and added again, with what it has. There is no other way (set_peer(),
/// drivers/net/wireguard/netlink.c, 6.12).
pub(super) fn forget(name: &PeerName, peer: &DevicePeer) -> [Change; 2] {
    let again = DesiredPeer {
        name: name.clone(),
        public_key: peer.public_key,
        preshared_key: peer.preshared_key.clone(),
        allowed_ips: peer.allowed_ips.clone(),
        keepalive: None,
    };
    [Change::RemovePeer { public_key: peer.public_key }, Change::AddPeer(again)]
}
