use std::{net::IpAddr, path::Path, thread};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use relay::{
    config::{self, Options, render_client_into},
    model::{PublicKey, Relay},
    policy::Effective,
};

use crate::{Family, Namespace, Peer, RelayHost, Site, deadline, peer::Identity, stats::UpReport};

/// The relay's host, the internet and the peers, as drawn at the top of this crate.
#[derive(Debug)]
pub struct Lab {
    site: Site,
    peers: Vec<Peer>,
    relay: RelayHost,
    internet: Namespace,
    directory: TempDir,
}

impl Lab {
    /// All namespaces and links and the relay's configuration, with nothing running.
    pub fn build(site: Site) -> Result<Self> {
        let everybody = site.names()?;
        Self::build_with(site, &everybody)
    }

    /// Runs `relay up` and connects all peers.
    pub fn start(site: Site) -> Result<Self> {
        let everybody = site.names()?;
        Self::start_with(site, &everybody)
    }

    /// The same with only these peers on the internet; the relay has all of them configured.
    pub fn start_with(site: Site, present: &[String]) -> Result<Self> {
        let lab = Self::build_with(site, present)?;
        lab.relay.up()?;
        lab.connect(&lab.peers)?;
        Ok(lab)
    }

    fn build_with(site: Site, present: &[String]) -> Result<Self> {
        let mut lab = Self::relay_alone(site)?;
        lab.populate(present)?;
        Ok(lab)
    }

    /// Puts these peers on the internet, which has none yet.
    pub(crate) fn populate(&mut self, present: &[String]) -> Result<()> {
        let model = self.model()?;
        let identities = present
            .iter()
            .map(|name| identity(self.described(&model, name)?))
            .collect::<Result<Vec<_>>>()?;
        let (internet, directory) = (&self.internet, self.directory.path());
        self.peers =
            together(&identities, |identity| Peer::create(identity.clone(), internet, directory))?;
        Ok(())
    }

    /// The relay's host with its configuration, and no peer on the internet.
    pub fn relay_alone(mut site: Site) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("relay-lab-").tempdir()?;
        site.live_in(directory.path())?;
        Self::on(site, directory, RelayHost::create)
    }

    /// The same on a host that `create` makes.
    pub(crate) fn on(
        site: Site,
        directory: TempDir,
        create: impl FnOnce(&Namespace, &Path) -> Result<RelayHost>,
    ) -> Result<Self> {
        let internet = Namespace::create("internet")?;
        internet.set_sysctl("ipv4/ip_forward", 1)?;
        let relay = create(&internet, directory.path())?;
        let lab = Self { site, peers: Vec::new(), relay, internet, directory };
        lab.write_config()?;
        Ok(lab)
    }

    pub fn relay(&self) -> &RelayHost {
        &self.relay
    }

    pub fn relay_mut(&mut self) -> &mut RelayHost {
        &mut self.relay
    }

    /// The router between the relay and the NATs.
    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// The peers, in the order of the configuration.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The first peers: `let [a, b] = lab.first()?`.
    pub fn first<const N: usize>(&self) -> Result<[&Peer; N]> {
        let peers: Vec<&Peer> = self.peers.iter().take(N).collect();
        peers.try_into().ok().with_context(|| format!("fewer than {N} peers"))
    }

    /// The peer of this name.
    pub fn peer(&self, name: &str) -> Result<&Peer> {
        self.peers
            .iter()
            .find(|peer| peer.name() == name)
            .with_context(|| format!("no peer {name} in the lab"))
    }

    /// The configuration, for changes; [`Self::up`] applies them.
    pub fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the configuration and runs `relay up`.
    pub fn up(&self) -> Result<UpReport> {
        self.write_config()?;
        self.relay.up()
    }

    /// Writes the relay's config file.
    pub fn write_config(&self) -> Result<()> {
        self.relay.write_config(&self.site.text()?)
    }

    /// The configuration as relay reads it, with defaults.
    pub fn model(&self) -> Result<Relay> {
        Ok(config::load(self.relay.config(), Options::default())?.relay)
    }

    pub fn interface(&self) -> Result<String> {
        Ok(self.model()?.interface.to_string())
    }

    /// The relay's own overlay address of this family.
    pub fn relay_address(&self, family: Family) -> Result<IpAddr> {
        let model = self.model()?;
        let mut addresses = model.addresses.iter().map(ipnet::IpNet::addr);
        addresses
            .find(|address| Family::of(*address) == family)
            .with_context(|| format!("the relay has no {} address", family.name()))
    }

    /// Puts a peer of the configuration on the internet, behind its NAT.
    pub fn join(&mut self, name: &str) -> Result<()> {
        let identity = identity(self.described(&self.model()?, name)?)?;
        self.peers.push(Peer::create(identity, &self.internet, self.directory.path())?);
        Ok(())
    }

    /// Connects peers with the client files that relay renders, and waits for a handshake of each
    /// peer with a persistent keepalive.
    pub fn connect<'a>(&self, peers: impl IntoIterator<Item = &'a Peer>) -> Result<()> {
        let model = self.model()?;
        let interface = model.interface.as_str();
        let public_key = self.relay.namespace().run("wg", &["show", interface, "public-key"])?;
        let public_key: PublicKey = public_key.trim().parse()?;
        let peers: Vec<&Peer> = peers.into_iter().collect();
        let connected = together(&peers, |peer| {
            peer.connect(&self.client_config(&model, &public_key, peer)?)?;
            Ok(*peer)
        })?;
        for peer in connected {
            if self.described(&model, peer.name())?.persistent_keepalive > 0 {
                self.await_handshake(peer)?;
            }
        }
        Ok(())
    }

    /// Sets a peer's own AllowedIPs to the whole overlay, so that only the relay restricts it.
    pub fn widen(&self, peer: &Peer) -> Result<()> {
        let overlay: Vec<_> = self.model()?.addresses.iter().map(ipnet::IpNet::trunc).collect();
        peer.claim(&overlay)
    }

    /// Waits for a handshake between a peer and the relay.
    pub fn await_handshake(&self, peer: &Peer) -> Result<()> {
        deadline::until(&format!("the first handshake of {}", peer.name()), || {
            Ok((peer.latest_handshake()? != 0).then_some(()))
        })
    }

    /// The client file that relay renders for a peer, with the private key added.
    fn client_config(&self, model: &Relay, public_key: &PublicKey, peer: &Peer) -> Result<String> {
        let described = self.described(model, peer.name())?;
        let place = model.named(peer.name()).map_or(0, |(place, _)| place);
        let allowed_ips = Effective::of(model).client(place);
        let private_key = self.site.private_key(peer.name())?;
        let mut text = String::new();
        render_client_into(
            &mut text,
            model,
            public_key,
            described,
            &allowed_ips,
            Some(private_key),
            None,
        )?;
        Ok(text)
    }

    fn described<'a>(&self, model: &'a Relay, name: &str) -> Result<&'a relay::model::Peer> {
        model
            .peers
            .iter()
            .find(|peer| peer.name.as_str() == name)
            .with_context(|| format!("no peer {name} in {}", self.relay.config().display()))
    }
}

fn identity(peer: &relay::model::Peer) -> Result<Identity> {
    let name = peer.name.to_string();
    let address = |family: Family| {
        let mut addresses = peer.addresses.iter().copied();
        addresses
            .find(|address| Family::of(*address) == family)
            .with_context(|| format!("{name} has no {} address", family.name()))
    };
    Ok(Identity { v4: address(Family::V4)?, v6: address(Family::V6)?, mtu: peer.mtu, name })
}

/// Runs `work` on each item in parallel.
fn together<I: Sync, T: Send>(
    items: &[I],
    work: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let workers: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
