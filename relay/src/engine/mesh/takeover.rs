//! Peers that are at home at another relay become at home here.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use relay_common::mesh::{Claim, Home};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{
    super::{Context, Result},
    homes::endpoint,
    session::forget,
    site::Site,
};
use crate::{
    datapath::Homes,
    model::{InterfaceName, Peer, PeerName, PublicKey, RelayName},
    wireguard::{self, Change, DevicePeer},
};

/// Keepalives keep the address translation on the way to a peer open, whose own keepalives may be off:
/// it has not called this relay.
const KEEPALIVE_S: u16 = 25;

/// Peers that are called at once, and how often: the kernel computes four Curve25519 products for a
/// handshake (WireGuard paper, section 5.4), so that this occupies about a third of one processor.
const CALLED_AT_ONCE: usize = 64;
const PAUSE: Duration = Duration::from_millis(32);

/// What was taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Peers that are called.
    pub called: usize,
    /// Peers that have to call: nobody knew where they are reached.
    pub silent: usize,
}

/// A peer that comes.
struct Coming {
    name: PeerName,
    slot: u32,
    handshake: u64,
    changes: Vec<Change>,
}

/// Peers that become at home here, some after the other.
pub(super) struct Takeover {
    interface: InterfaceName,
    homes: Homes,
    coming: Vec<Coming>,
    done: TakenOver,
}

impl Takeover {
    /// Of all peers that are at home at other relays, or at one of them.
    ///
    /// # Errors
    /// The relay has no mesh, or there is no such relay.
    pub(super) fn begin(context: &Context, from: Option<&RelayName>) -> Result<Self> {
        let site = Site::of(context)?;
        let homes = site.homes(context.datapath())?;
        let slots = context.datapath().slots()?;
        let from = match from {
            Some(name) => slots.get(&site.named(name)?.public_key).copied(),
            None => None,
        };
        let is_away = |home: Home| home.is_elsewhere() && from.is_none_or(|from| home.slot == from);
        let away = context.relay().enabled().filter_map(|peer| {
            let slot = *slots.get(&peer.public_key)?;
            is_away(homes.home(slot)).then(|| (peer, slot, homes.claim(slot)))
        });
        let device = wireguard::read(site.interface)?;
        let known = device.iter().flat_map(|device| &device.peers);
        let coming = coming(away, known);
        Ok(Self { interface: site.interface.clone(), homes, coming, done: TakenOver::default() })
    }

    /// Whether all have come.
    pub(super) fn is_over(&self) -> bool {
        self.taken() == self.coming.len()
    }

    /// Makes this relay the home of the next ones, and calls them.
    ///
    /// # Errors
    /// The kernel does not accept a change.
    pub(super) fn step(&mut self) -> Result<()> {
        let next = &self.coming[self.taken()..];
        let next = &next[..next.len().min(CALLED_AT_ONCE)];
        let changes: Vec<_> = next.iter().flat_map(|coming| coming.changes.clone()).collect();
        // The home first: what the peer sends as an answer is then no move.
        next.iter().for_each(|coming| self.homes.set_home(coming.slot, Home::HERE));
        wireguard::apply(&self.interface, &changes)?;
        let called = next.iter().filter(|coming| !coming.changes.is_empty()).count();
        for coming in next.iter().filter(|coming| coming.changes.is_empty()) {
            tracing::debug!("{}: nobody knew its endpoint", coming.name);
        }
        self.done.silent += next.len() - called;
        self.done.called += called;
        Ok(())
    }

    fn taken(&self) -> usize {
        self.done.called + self.done.silent
    }
}

/// When the next ones are called.
pub(super) fn pace() -> Interval {
    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Makes this relay the home of all peers that are at home at other relays, or at one of them, and
/// calls them, those with the latest handshakes first. `progress` is told how many are done, of how
/// many.
///
/// # Errors
/// The relay has no mesh, there is no such relay, or the kernel does not accept a change.
pub async fn takeover(
    context: &Context,
    from: Option<&RelayName>,
    mut progress: impl FnMut(usize, usize),
) -> Result<TakenOver> {
    let mut takeover = Takeover::begin(context, from)?;
    let mut pace = pace();
    while !takeover.is_over() {
        pace.tick().await;
        takeover.step()?;
        progress(takeover.taken(), takeover.coming.len());
    }
    Ok(takeover.done)
}

/// Those with the latest handshakes first. `away` are peers that are at home elsewhere, with their slots
/// and what is claimed of them; `known` is what WireGuard has of peers.
fn coming<'a, 'b>(
    away: impl Iterator<Item = (&'a Peer, u32, Claim)>,
    known: impl Iterator<Item = &'b DevicePeer>,
) -> Vec<Coming> {
    let known: HashMap<PublicKey, &DevicePeer> =
        known.map(|peer| (peer.public_key, peer)).collect();
    let of = |(peer, slot, claim): (&'a Peer, u32, Claim)| {
        let known = known.get(&peer.public_key).copied();
        let changes = endpoint(&claim).map(|endpoint| calling(peer, endpoint, known));
        let changes = changes.unwrap_or_default();
        Coming { name: peer.name.clone(), slot, handshake: claim.handshake, changes }
    };
    let mut coming: Vec<_> = away.map(of).collect();
    coming.sort_by_key(|coming| std::cmp::Reverse(coming.handshake));
    coming
}

/// What makes the kernel call a peer at once: the first keepalive (set_peer(),
/// drivers/net/wireguard/netlink.c, 6.12). With a session from before the peer was at home elsewhere it
/// would use that, which the peer has forgotten.
fn calling(peer: &Peer, endpoint: SocketAddr, known: Option<&DevicePeer>) -> Vec<Change> {
    let (name, public_key) = (peer.name.clone(), peer.public_key);
    let keepalive = Change::Keepalive { name: name.clone(), public_key, seconds: KEEPALIVE_S };
    let is_fresh =
        |peer: &&DevicePeer| peer.latest_handshake.is_none() && peer.persistent_keepalive.is_none();
    let stale = known.filter(|known| !is_fresh(known)).map(|known| forget(&peer.name, known));
    let call = [Change::Endpoint { name, public_key, endpoint }, keepalive];
    stale.into_iter().flatten().chain(call).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{super::homes::record, *};
    use crate::mesh;

    fn peer(byte: u8) -> Peer {
        Peer::new(
            format!("peer-{byte}").parse().expect("a name"),
            PublicKey::from_bytes([byte; 32]),
        )
    }

    fn claim(handshake: u64, endpoint: &str) -> Claim {
        record(&mesh::Claim::new(1, handshake, endpoint.parse().ok()))
    }

    #[test]
    fn recently_active_peers_are_called_first_and_those_that_nobody_has_seen_wait() {
        let peers = [peer(1), peer(2), peer(3)];
        let claims = [claim(10, "192.0.2.1:1"), claim(0, ""), claim(30, "[2001:db8::3]:3")];
        let away =
            peers.iter().zip(7..).zip(claims).map(|((peer, slot), claim)| (peer, slot, claim));
        let coming = coming(away, [].into_iter());
        let order: Vec<_> = coming.iter().map(|coming| coming.slot).collect();
        assert_eq!(order, [9, 7, 8]);
        let expected = |peer: &Peer, endpoint: &str| {
            let (name, public_key) = (peer.name.clone(), peer.public_key);
            let endpoint = endpoint.parse().expect("an endpoint");
            let call = Change::Endpoint { name: name.clone(), public_key, endpoint };
            vec![call, Change::Keepalive { name, public_key, seconds: KEEPALIVE_S }]
        };
        assert_eq!(coming[0].changes, expected(&peers[2], "[2001:db8::3]:3"));
        assert_eq!(coming[1].changes, expected(&peers[0], "192.0.2.1:1"));
        assert!(coming[2].changes.is_empty());
    }

    #[test]
    fn a_session_from_before_is_forgotten_before_the_peer_is_called() {
        let peer = peer(1);
        let before = DevicePeer {
            latest_handshake: Some(SystemTime::UNIX_EPOCH),
            ..DevicePeer::new(peer.public_key)
        };
        let away = [(&peer, 1, claim(10, "192.0.2.1:1"))].into_iter();
        let coming = coming(away, [&before].into_iter());
        let [Change::RemovePeer { .. }, Change::AddPeer(_), Change::Endpoint { .. }, ..] =
            &coming[0].changes[..]
        else {
            panic!("{:?}", coming[0].changes)
        };
    }
}
