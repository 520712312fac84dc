//! WireGuard interfaces behind the guard and on the other side.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use relay::{
    datapath::GuardSettings,
    model::{PrivateKey, PublicKey},
};
use relay_common::guard::Outcome;

use super::{
    PORT,
    bed::{Bed, UNDERLAY},
    settings,
};
use crate::{Namespace, deadline, wireguard_go::WireguardGo};

/// A WireGuard interface, of the kernel or of wireguard-go.
pub struct Tunnel<'a> {
    namespace: &'a Namespace,
    name: String,
    _process: Option<WireguardGo>,
}

impl<'a> Tunnel<'a> {
    /// A kernel interface.
    pub fn kernel(namespace: &'a Namespace, name: &str) -> Result<Self> {
        namespace.run("ip", &["link", "add", name, "type", "wireguard"])?;
        Ok(Self { namespace, name: name.to_owned(), _process: None })
    }

    /// An interface of wireguard-go, named after this process too.
    pub fn go(namespace: &'a Namespace, name: &str) -> Result<Self> {
        let name = format!("{name}{}", std::process::id());
        let process = WireguardGo::start(namespace, &name)?;
        Ok(Self { namespace, name, _process: Some(process) })
    }

    /// Sets key, port and address, and brings it up.
    pub fn set_up(&self, key: &PrivateKey, address: &str) -> Result<()> {
        let arguments = ["set", &self.name, "private-key", "/proc/self/fd/0"];
        self.namespace.feed("wg", &arguments, &key.to_base64())?;
        let port = PORT.to_string();
        self.namespace.run("wg", &["set", &self.name, "listen-port", &port])?;
        self.namespace.run("ip", &["address", "add", address, "dev", &self.name])?;
        self.namespace.run("ip", &["link", "set", &self.name, "mtu", "1420", "up"]).map(drop)
    }

    /// Removes a peer with its session, and adds it again.
    fn meet(&self, peer: &PublicKey, allowed: &str, endpoint: SocketAddr) -> Result<()> {
        let (peer, endpoint) = (peer.to_string(), endpoint.to_string());
        self.namespace.run("wg", &["set", &self.name, "peer", &peer, "remove"])?;
        let with = ["endpoint", &endpoint, "allowed-ips", allowed];
        let peer = ["set", &self.name, "peer", &peer];
        self.namespace.run("wg", &[&peer[..], &with].concat()).map(drop)
    }

    fn ping(&self, to: &str, payload: &str) -> Result<()> {
        deadline::until("an echo reply through the tunnel", || {
            let arguments = ["-c", "1", "-W", "1", "-M", "do", "-s", payload, to];
            Ok(self.namespace.run("ping", &arguments).ok())
        })
        .map(drop)
    }
}

/// Handshakes between a relay behind its guard and a peer: started by the peer, then by the relay,
/// then with a guard for another key. All messages but the last pass.
pub fn talk(bed: &Bed, relay: &Tunnel<'_>, peer: &Tunnel<'_>) -> Result<()> {
    let (relay_key, peer_key) = (PrivateKey::generate()?, PrivateKey::generate()?);
    let guard = GuardSettings { public_key: relay_key.public_key(), ..settings(200) };
    bed.put(UNDERLAY, None, &guard)??;
    let at_relay: SocketAddr = ([192, 0, 2, 1], PORT).into();
    let at_peer: SocketAddr = ([192, 0, 2, 2], PORT).into();
    relay.set_up(&relay_key, "10.9.0.1/24")?;
    peer.set_up(&peer_key, "10.9.0.2/24")?;
    let count = |outcome: Outcome| -> Result<u64> {
        Ok(bed.datapath.guard_counts()?[outcome.index() as usize])
    };

    relay.meet(&peer_key.public_key(), "10.9.0.2/32", at_peer)?;
    peer.meet(&relay_key.public_key(), "10.9.0.1/32", at_relay)?;
    peer.ping("10.9.0.1", "56")?;
    peer.ping("10.9.0.1", "1392")?;
    ensure!(count(Outcome::Initiation)? > 0 && count(Outcome::Data)? > 1);

    relay.meet(&peer_key.public_key(), "10.9.0.2/32", at_peer)?;
    relay.ping("10.9.0.2", "56")?;
    ensure!(count(Outcome::Response)? > 0);
    for &outcome in Outcome::ALL.iter().filter(|outcome| outcome.drops()) {
        ensure!(count(outcome)? == 0, "{}: {}", outcome.label(), count(outcome)?);
    }

    let other = GuardSettings { public_key: peer_key.public_key(), ..guard.clone() };
    bed.put(UNDERLAY, None, &other)??;
    peer.meet(&relay_key.public_key(), "10.9.0.1/32", at_relay)?;
    deadline::until("an initiation to another relay's guard", || {
        let _lost = peer.namespace.run("ping", &["-c", "1", "-W", "1", "10.9.0.1"]);
        Ok((count(Outcome::BadMac1)? > 0).then_some(()))
    })
}
