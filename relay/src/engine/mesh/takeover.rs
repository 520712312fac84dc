//! Peers that are at home at another relay become at home here.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use relay_common::mesh::Home;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    super::{Context, Result},
    homes::endpoint,
    session::forget,
    site::Site,
};
use crate::{
    model::{Peer, PublicKey, RelayName},
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
struct Coming<'a> {
    peer: &'a Peer,
    slot: u32,
    handshake: u64,
    changes: Vec<Change>,
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
    let site = Site::of(context)?;
    let homes = site.homes(context.datapath())?;
    let slots = context.datapath().slots()?;
    let from = match from {
        Some(name) => slots.get(&site.named(name)?.public_key).copied(),
        None => None,
    };
    let device = wireguard::read(site.interface)?;
    let known: HashMap<PublicKey, &DevicePeer> = device
        .iter()
        .flat_map(|device| &device.peers)
        .map(|peer| (peer.public_key, peer))
        .collect();
    let mut coming = Vec::new();
    for peer in context.relay().enabled() {
        let Some(&slot) = slots.get(&peer.public_key) else { continue };
        let home = homes.home(slot);
        if !home.is_elsewhere() || from.is_some_and(|from| home.slot != from) {
            continue;
        }
        let claim = homes.claim(slot);
        let known = known.get(&peer.public_key).copied();
        let changes = endpoint(&claim).map(|endpoint| calling(peer, endpoint, known));
        let changes = changes.unwrap_or_default();
        coming.push(Coming { peer, slot, handshake: claim.handshake, changes });
    }
    coming.sort_by_key(|coming| std::cmp::Reverse(coming.handshake));
    let (mut done, all) = (TakenOver::default(), coming.len());
    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for some in coming.chunks(CALLED_AT_ONCE) {
        pace.tick().await;
        let changes: Vec<_> = some.iter().flat_map(|coming| coming.changes.clone()).collect();
        // The home first: what the peer sends as an answer is then no move.
        some.iter().for_each(|coming| homes.set_home(coming.slot, Home::HERE));
        wireguard::apply(site.interface, &changes)?;
        let called = some.iter().filter(|coming| !coming.changes.is_empty()).count();
        done.called += called;
        done.silent += some.len() - called;
        for coming in some.iter().filter(|coming| coming.changes.is_empty()) {
            tracing::debug!("{}: nobody knew its endpoint", coming.peer.name);
        }
        progress(done.called + done.silent, all);
    }
    Ok(done)
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
