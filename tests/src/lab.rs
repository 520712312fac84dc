use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{Namespace, Peer, RelayHost, Site, client, deadline, stats::UpReport};

/// The whole of it; the drawing is at the top of this crate.
#[derive(Debug)]
pub struct Lab {
    site: Site,
    peers: Vec<Peer>,
    relay: RelayHost,
    internet: Namespace,
    directory: TempDir,
}

impl Lab {
    /// All namespaces and links, the relay's config file, and nothing running.
    ///
    /// # Errors
    /// Something could not be made; what was made is gone again.
    pub fn build(site: Site) -> Result<Self> {
        let mut lab = Self::relay_alone(site)?;
        for name in lab.site.names()? {
            lab.join(&name)?;
        }
        Ok(lab)
    }

    /// The relay's host with its config file, and no peer on the internet.
    ///
    /// # Errors
    /// Something could not be made; what was made is gone again.
    pub fn relay_alone(mut site: Site) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("relay-lab-").tempdir()?;
        site.live_in(directory.path())?;
        let internet = Namespace::create("internet")?;
        internet.set_sysctl("ipv4/ip_forward", 1)?;
        let relay = RelayHost::create(&internet, directory.path())?;
        let lab = Self { site, peers: Vec::new(), relay, internet, directory };
        lab.write_config()?;
        Ok(lab)
    }

    /// A lab with `relay up` done and all peers connected.
    ///
    /// # Errors
    /// Something could not be made or did not come up.
    pub fn start(site: Site) -> Result<Self> {
        let lab = Self::build(site)?;
        lab.relay.up()?;
        for peer in &lab.peers {
            lab.connect(peer)?;
        }
        for peer in &lab.peers {
            lab.await_handshake(peer)?;
        }
        Ok(lab)
    }

    /// The relay's host.
    pub fn relay(&self) -> &RelayHost {
        &self.relay
    }

    /// The peers, in the order of the config.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The first peers, in the order of the config: `let [a, b] = lab.first()?`.
    ///
    /// # Errors
    /// There are fewer.
    pub fn first<const N: usize>(&self) -> Result<[&Peer; N]> {
        let peers: Vec<&Peer> = self.peers.iter().take(N).collect();
        peers.try_into().ok().with_context(|| format!("fewer than {N} peers"))
    }

    /// The peer of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn peer(&self, name: &str) -> Result<&Peer> {
        self.peers
            .iter()
            .find(|peer| peer.name() == name)
            .with_context(|| format!("no peer {name} in the lab"))
    }

    /// The configuration, to be changed; [`Self::up`] takes the change to the relay.
    pub fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    /// The configuration.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The lab's own directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the configuration as it now is and runs `relay up`.
    ///
    /// # Errors
    /// It failed.
    pub fn up(&self) -> Result<UpReport> {
        self.write_config()?;
        self.relay.up()
    }

    /// Writes the relay's config file.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write_config(&self) -> Result<()> {
        self.relay.write_config(&self.site.text()?)
    }

    /// Puts a peer of the configuration, with its NAT, on the internet.
    ///
    /// # Errors
    /// Something could not be made.
    pub fn join(&mut self, name: &str) -> Result<()> {
        let identity = self.site.identity(name)?;
        self.peers.push(Peer::create(identity, &self.internet, self.directory.path())?);
        Ok(())
    }

    /// Connects a peer with the config that the project renders for it.
    ///
    /// # Errors
    /// There is no such config or `wg-quick` failed.
    pub fn connect(&self, peer: &Peer) -> Result<()> {
        peer.connect(&self.client_config(peer)?)
    }

    /// Lets a peer claim the whole overlay in its own config, so that only the relay stands
    /// between it and everybody, and connects it again.
    ///
    /// # Errors
    /// `wg-quick` failed, or no handshake followed.
    pub fn widen(&self, peer: &Peer) -> Result<()> {
        peer.widen(&self.site.overlay()?)?;
        self.await_handshake(peer)
    }

    /// The config file that the project renders for a peer, as its owner gets it.
    ///
    /// # Errors
    /// The relay is not up, or there is no such peer.
    pub fn client_config(&self, peer: &Peer) -> Result<String> {
        let interface = self.site.interface()?;
        let public_key = self.relay.namespace().run("wg", &["show", interface, "public-key"])?;
        client::render(&self.site, peer.name(), public_key.trim())
    }

    /// Waits until a peer and the relay have shaken hands; a peer with a persistent keepalive
    /// begins by itself.
    ///
    /// # Errors
    /// They did not in time.
    pub fn await_handshake(&self, peer: &Peer) -> Result<()> {
        deadline::until(&format!("the first handshake of {}", peer.name()), || {
            Ok((peer.latest_handshake()? != 0).then_some(()))
        })
    }
}
