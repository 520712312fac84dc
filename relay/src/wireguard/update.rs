use std::net::SocketAddr;

use ipnet::IpNet;

use super::Change;
use crate::model::{PresharedKey, PrivateKey, PublicKey};

/// Maximum number of prefixes of one peer in one message. A message has 8 KiB and a prefix takes 28 bytes
/// (IPv4) or 40 (IPv6). A peer that does not fit into a message of its own is an error.
const PREFIXES_MAX: usize = 150;

/// Changes as the attributes of `WG_CMD_SET_DEVICE`.
#[derive(Debug, Default)]
pub(super) struct Update<'a> {
    pub(super) private_key: Option<&'a PrivateKey>,
    pub(super) listen_port: Option<u16>,
    pub(super) peers: Vec<PeerUpdate<'a>>,
}

/// One peer of an [`Update`]. A long list is split over several, in order.
#[derive(Debug)]
pub(super) struct PeerUpdate<'a> {
    pub(super) public_key: PublicKey,
    pub(super) remove: bool,
    /// `Some(None)` removes it.
    pub(super) preshared_key: Option<Option<&'a PresharedKey>>,
    /// Whether `allowed_ips` replace the list or are added to it.
    pub(super) replace: bool,
    pub(super) allowed_ips: &'a [IpNet],
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) keepalive: Option<u16>,
}

impl<'a> Update<'a> {
    pub(super) fn of(changes: &'a [Change]) -> Self {
        let mut update = Self::default();
        for change in changes {
            match change {
                Change::RemovePeer { public_key } => {
                    update.peers.push(PeerUpdate { remove: true, ..PeerUpdate::none(*public_key) });
                }
                Change::RemoveAllowedIps { public_key, kept, .. } => {
                    update
                        .push(PeerUpdate { replace: true, ..PeerUpdate::none(*public_key) }, kept);
                }
                Change::PrivateKey { key, .. } => update.private_key = Some(key),
                Change::ListenPort { port, .. } => update.listen_port = Some(*port),
                Change::AddPeer(peer) => {
                    let first = PeerUpdate {
                        preshared_key: Some(peer.preshared_key.as_ref()),
                        replace: true,
                        ..PeerUpdate::none(peer.public_key)
                    };
                    update.push(first, &peer.allowed_ips);
                }
                Change::PresharedKey { public_key, key, .. } => {
                    update.peers.push(PeerUpdate {
                        preshared_key: Some(key.as_ref()),
                        ..PeerUpdate::none(*public_key)
                    });
                }
                Change::Endpoint { public_key, endpoint, .. } => update.peers.push(PeerUpdate {
                    endpoint: Some(*endpoint),
                    ..PeerUpdate::none(*public_key)
                }),
                Change::Keepalive { public_key, seconds, .. } => update.peers.push(PeerUpdate {
                    keepalive: Some(*seconds),
                    ..PeerUpdate::none(*public_key)
                }),
                Change::AddAllowedIps { public_key, added, .. } => {
                    update.push(PeerUpdate::none(*public_key), added);
                }
            }
        }
        update
    }

    fn push(&mut self, first: PeerUpdate<'a>, allowed_ips: &'a [IpNet]) {
        let (head, tail) = allowed_ips.split_at(allowed_ips.len().min(PREFIXES_MAX));
        let public_key = first.public_key;
        self.peers.push(PeerUpdate { allowed_ips: head, ..first });
        self.peers.extend(
            tail.chunks(PREFIXES_MAX)
                .map(|allowed_ips| PeerUpdate { allowed_ips, ..PeerUpdate::none(public_key) }),
        );
    }
}

impl PeerUpdate<'_> {
    const fn none(public_key: PublicKey) -> Self {
        Self {
            public_key,
            remove: false,
            preshared_key: None,
            replace: false,
            allowed_ips: &[],
            endpoint: None,
            keepalive: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wireguard::DesiredPeer;

    #[test]
    fn a_long_list_is_cut_and_only_its_first_part_replaces() {
        let changes = [Change::AddPeer(owning(400))];
        let update = Update::of(&changes);
        let parts: Vec<(bool, usize)> =
            update.peers.iter().map(|peer| (peer.replace, peer.allowed_ips.len())).collect();
        assert_eq!(parts, [(true, 150), (false, 150), (false, 100)]);
        assert_eq!(update.peers.iter().filter(|peer| peer.preshared_key.is_some()).count(), 1);
    }

    #[test]
    fn a_peer_that_owns_nothing_is_still_added() {
        let changes = [Change::AddPeer(owning(0))];
        assert_eq!(Update::of(&changes).peers.len(), 1);
    }

    #[test]
    fn a_narrowed_peer_keeps_its_preshared_key() {
        let peer = owning(2);
        let changes = [Change::RemoveAllowedIps {
            name: peer.name,
            public_key: peer.public_key,
            removed: peer.allowed_ips[..1].to_vec(),
            kept: peer.allowed_ips[1..].to_vec(),
        }];
        let update = Update::of(&changes);
        assert_eq!(update.peers.len(), 1);
        assert!(update.peers[0].replace && update.peers[0].preshared_key.is_none());
        assert_eq!(update.peers[0].allowed_ips.len(), 1);
    }

    fn owning(count: u32) -> DesiredPeer {
        let prefix = |number: u32| IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
        DesiredPeer {
            name: "many".parse().expect("a name"),
            public_key: PublicKey::from_bytes([2; 32]),
            preshared_key: None,
            allowed_ips: (0..count).map(prefix).collect(),
            keepalive: None,
        }
    }
}
