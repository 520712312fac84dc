//! Where the relay reaches peers that do not dial it: their `own_endpoint`, looked up.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    thread,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::{
    model::{Peer, PublicKey, Relay},
    wireguard::{Change, Device, DevicePeer},
};

/// Age of the latest handshake from which on a peer is looked up again: a session that is in use
/// begins a new one each 120 seconds, as `contrib/reresolve-dns` of wireguard-tools explains.
const OLD: Duration = Duration::from_secs(135);

/// Time for all names together.
const LIMIT: Duration = Duration::from_secs(5);

/// Names that are looked up at once. The system's resolver has one thread for each.
const AT_ONCE: usize = 64;

/// A peer and where to reach it.
type Dialled<'r> = (&'r Peer, &'r str);

/// An endpoint that is to be looked up.
pub(super) struct Wanted {
    /// Of the peer.
    pub(super) key: PublicKey,
    /// Where it is written.
    pub(super) what: String,
    /// What is written: host and port.
    pub(super) endpoint: String,
}

/// What to look up for these peers.
pub(super) fn wanted(dialled: &[Dialled<'_>]) -> Vec<Wanted> {
    let wanted = dialled.iter().map(|(peer, endpoint)| Wanted {
        key: peer.public_key,
        what: format!("own_endpoint of {}", peer.name),
        endpoint: (*endpoint).to_owned(),
    });
    wanted.collect()
}

/// Enabled peers that have an `own_endpoint`.
pub(super) fn dialled(relay: &Relay) -> impl Iterator<Item = Dialled<'_>> {
    relay.enabled().filter_map(|peer| Some((peer, peer.own_endpoint.as_deref()?)))
}

/// Those of them of which WireGuard knows no endpoint, all for a new interface.
pub(super) fn silent<'r>(relay: &'r Relay, device: Option<&Device>) -> Vec<Dialled<'r>> {
    let is_silent = |(peer, _): &Dialled<'_>| {
        let known = device.and_then(|device| known(device, &peer.public_key));
        known.is_none_or(|peer| peer.endpoint.is_none())
    };
    dialled(relay).filter(is_silent).collect()
}

/// Those of them without a handshake that is fresh.
pub(super) fn stale<'r>(relay: &'r Relay, device: &Device, now: SystemTime) -> Vec<Dialled<'r>> {
    let is_stale = |(peer, _): &Dialled<'_>| {
        let latest = |peer: &DevicePeer| match peer.latest_handshake {
            // A clock that was set back says nothing about age.
            Some(latest) => now.duration_since(latest).is_ok_and(|age| age > OLD),
            None => true,
        };
        known(device, &peer.public_key).is_some_and(latest)
    };
    dialled(relay).filter(is_stale).collect()
}

/// What is to change for those that are still stale.
pub(super) fn changes(
    stale: &[Dialled<'_>],
    device: &Device,
    found: &BTreeMap<PublicKey, SocketAddr>,
) -> Vec<Change> {
    let change = |(peer, _): &Dialled<'_>| {
        let Peer { name, public_key, .. } = peer;
        let endpoint = *found.get(public_key)?;
        let is_there = known(device, public_key)?.endpoint == Some(endpoint);
        (!is_there).then(|| Change::Endpoint {
            name: name.clone(),
            public_key: *public_key,
            endpoint,
        })
    };
    stale.iter().filter_map(change).collect()
}

/// Looks up where to reach peers, and says of whom that is not known.
pub(super) async fn look_up(wanted: Vec<Wanted>) -> (BTreeMap<PublicKey, SocketAddr>, Vec<String>) {
    let (mut found, mut unknown) = (BTreeMap::new(), Vec::new());
    let end = Instant::now() + LIMIT;
    for wanted in wanted.chunks(AT_ONCE) {
        let (answer, mut answers) = mpsc::channel(AT_ONCE);
        let mut said: Vec<Option<io::Result<SocketAddr>>> = Vec::with_capacity(wanted.len());
        for (place, Wanted { endpoint, .. }) in wanted.iter().enumerate() {
            let (answer, endpoint) = (answer.clone(), endpoint.clone());
            // Not a task of the runtime, whose end would wait for it: getaddrinfo(3) has no limit.
            let look = move || drop(answer.blocking_send((place, resolve(&endpoint))));
            said.push(thread::Builder::new().spawn(look).err().map(Err));
        }
        drop(answer);
        while let Ok(Some((place, answer))) = timeout_at(end, answers.recv()).await {
            said[place] = Some(answer);
        }
        for (Wanted { key, what, endpoint }, said) in wanted.iter().zip(said) {
            let why = match said {
                Some(Ok(address)) => {
                    found.insert(*key, address);
                    continue;
                }
                Some(Err(error)) => error.to_string(),
                None => format!("no answer within {} seconds", LIMIT.as_secs()),
            };
            unknown.push(format!(
                "{what}: {endpoint} is not found ({why}); this relay reaches it once it dials, or with \
                 a name that resolves"
            ));
        }
    }
    (found, unknown)
}

/// The address that the system prefers.
fn resolve(endpoint: &str) -> io::Result<SocketAddr> {
    endpoint.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no address"))
}

/// What WireGuard knows of a peer.
fn known<'d>(device: &'d Device, key: &PublicKey) -> Option<&'d DevicePeer> {
    let found = device.peers.binary_search_by_key(key, |peer| peer.public_key);
    found.ok().map(|place| &device.peers[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn relay() -> Relay {
        let peers = [(1, Some("192.0.2.7:51820")), (2, None), (3, Some("[2001:db8::3]:7"))];
        let peer = |(number, endpoint): (u8, Option<&str>)| {
            let name = format!("p{number}").parse().expect("a name");
            let own_endpoint = endpoint.map(str::to_owned);
            Peer { own_endpoint, ..Peer::new(name, PublicKey::from_bytes([number; 32])) }
        };
        let peers = peers.into_iter().map(peer).collect();
        Relay { peers, ..Relay::new("relay0".parse().expect("a name")) }
    }

    /// Endpoints, and ages of handshakes in seconds.
    fn device(now: SystemTime, peers: [(Option<&str>, Option<u64>); 3]) -> Device {
        let peers = (1..).zip(peers).map(|(number, (endpoint, age))| DevicePeer {
            endpoint: endpoint.map(|it| it.parse().expect("an address")),
            latest_handshake: age.map(|age| now - Duration::from_secs(age)),
            ..DevicePeer::new(PublicKey::from_bytes([number; 32]))
        });
        Device { public_key: None, listen_port: 1, fwmark: 0, peers: peers.collect() }
    }

    fn names(dialled: &[Dialled<'_>]) -> Vec<String> {
        dialled.iter().map(|(peer, _)| peer.name.to_string()).collect()
    }

    #[test]
    fn only_peers_of_which_nothing_is_known_are_set_at_first() {
        let mut relay = relay();
        let known = device(NOW, [(Some("198.51.100.1:9"), None), (None, None), (None, None)]);
        assert_eq!(names(&silent(&relay, None)), ["p1", "p3"]);
        assert_eq!(names(&silent(&relay, Some(&known))), ["p3"]);
        relay.peers[2].enabled = false;
        assert!(silent(&relay, Some(&known)).is_empty());
    }

    #[test]
    fn an_old_handshake_is_what_makes_a_peer_stale() {
        let now = NOW + Duration::from_secs(1_000_000);
        let of = |one, other| {
            let device = device(now, [(None, one), (None, None), (None, other)]);
            names(&stale(&relay(), &device, now))
        };
        assert!(of(Some(0), Some(135)).is_empty());
        assert_eq!(of(Some(136), None), ["p1", "p3"]);
    }

    #[tokio::test]
    async fn what_is_found_changes_only_what_differs() {
        let relay = relay();
        let (found, unknown) = look_up(wanted(&dialled(&relay).collect::<Vec<_>>())).await;
        assert_eq!((found.len(), unknown), (2, vec![]));
        let device = device(NOW, [(Some("192.0.2.7:51820"), None), (None, None), (None, None)]);
        let all: Vec<_> = dialled(&relay).collect();
        let changes: Vec<_> =
            changes(&all, &device, &found).iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["~ peer p3: endpoint [2001:db8::3]:7"]);
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_is_said() {
        let mut relay = relay();
        relay.peers[0].own_endpoint = Some("nobody.invalid:51820".to_owned());
        let (found, unknown) = look_up(wanted(&dialled(&relay).collect::<Vec<_>>())).await;
        assert_eq!(found.len(), 1);
        let [why] = &unknown[..] else { panic!("{unknown:?}") };
        assert!(
            why.starts_with("own_endpoint of p1: nobody.invalid:51820 is not found ("),
            "{why}"
        );
    }
}
