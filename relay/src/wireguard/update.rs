use ipnet::IpNet;

use super::Change;
use crate::model::{PresharedKey, PrivateKey, PublicKey};

/// Prefixes of one peer in one message. A message holds 8 KiB, a prefix takes 28 bytes (IPv4) or
/// 40 (IPv6), and the peer that does not fit into a message of its own is refused.
const PREFIXES_MAX: usize = 150;

/// Changes in the terms of `WG_CMD_SET_DEVICE`.
#[derive(Debug, Default)]
pub(super) struct Update<'a> {
    pub(super) private_key: Option<&'a PrivateKey>,
    pub(super) listen_port: Option<u16>,
    pub(super) peers: Vec<PeerUpdate<'a>>,
}

/// One peer's part of an [`Update`]. A long list is several of them, one after the other.
#[derive(Debug)]
pub(super) struct PeerUpdate<'a> {
    pub(super) public_key: PublicKey,
    pub(super) remove: bool,
    /// `Some(None)` unsets it.
    pub(super) preshared_key: Option<Option<&'a PresharedKey>>,
    /// Whether the list begins anew with `allowed_ips`, or grows by them.
    pub(super) replace: bool,
    pub(super) allowed_ips: &'a [IpNet],
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
        Self { public_key, remove: false, preshared_key: None, replace: false, allowed_ips: &[] }
    }
}
