//! Three relays of one mesh on a LAN, and peers behind NATs on the internet.
//!
//! ```text
//!            ┌────────────────────┐ ┌────────────────────┐ ┌────────────────────┐
//!            │ r1                 │ │ r2                 │ │ r3                 │
//!            │  relay0-r2 ────────┼─┼─ relay0-r1         │ │                    │
//!            │  relay0            │ │  relay0            │ │  relay0            │
//!            │  eth0   192.0.2.11 │ │  eth0   192.0.2.12 │ │  eth0   192.0.2.13 │
//!            └─────────┬──────────┘ └─────────┬──────────┘ └─────────┬──────────┘
//!                      │ r1                   │ r2                   │ r3
//!            ┌─────────┴──────────────────────┴──────────────────────┴──────────┐
//!            │  lan (bridge)  192.0.2.254               internet                │
//!            └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The rest is as in the drawing of the crate. Peers dial 192.0.2.1, which one of the relays has:
//! [`MeshLab::hold`] gives it to one, or keepalived does.

mod agent;
mod keepalived;
mod lan;
mod status;

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use relay::model::PrivateKey;

pub use agent::Agent;
pub use keepalived::Keepalived;
pub use status::{MeshStatus, RelayStatus};

use crate::{
    Family, Lab, Namespace, Peer, RelayHost, Site, deadline, relay_host::UNDERLAY, traffic::Echo,
};

/// Names of the relays.
pub const NAMES: [&str; 3] = ["r1", "r2", "r3"];

/// UDP port that peers dial.
const PORT: u16 = 51820;

/// A lab whose relay has two others beside it.
#[derive(Debug)]
pub struct MeshLab {
    // Its bpffs are in the lab's directory.
    others: Vec<RelayHost>,
    lab: Lab,
}

impl MeshLab {
    /// Everything, with nothing running, and nobody who has the peers' address.
    pub fn build(mut site: Site) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("relay-mesh-").tempdir()?;
        let key = generate()?;
        for (place, name) in NAMES.iter().enumerate() {
            let home = directory.path().join(name);
            fs::create_dir(&home)?;
            write_key(&home.join("private.key"), &key)?;
            let transit = generate()?;
            write_key(&home.join("mesh.key"), &transit)?;
            site.add_relay(name, &transit.public_key(), address(place))?;
        }
        // Beside each relay's file.
        site.relay_mut()?.insert("private_key_file".to_owned(), "private.key".into());
        site.mesh_mut()?.insert("private_key_file".to_owned(), "mesh.key".into());
        let everybody = site.names()?;
        let mut lab = Lab::on(site, directory, |internet, directory| {
            lan::create(internet)?;
            host(internet, directory, 0)
        })?;
        let others = (1..NAMES.len())
            .map(|place| host(lab.internet(), lab.directory(), place))
            .collect::<Result<_>>()?;
        lab.populate(&everybody)?;
        let mesh = Self { others, lab };
        mesh.write_config()?;
        Ok(mesh)
    }

    /// Runs `relay up` everywhere, gives the first relay the peers' address, and connects all peers.
    pub fn start(site: Site) -> Result<Self> {
        let mesh = Self::build(site)?;
        mesh.up()?;
        mesh.hold(0)?;
        mesh.lab.connect(mesh.lab.peers())?;
        Ok(mesh)
    }

    /// The lab of the first relay.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    pub fn lab_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }

    /// All relays.
    pub fn relays(&self) -> impl Iterator<Item = &RelayHost> {
        [self.lab.relay()].into_iter().chain(&self.others)
    }

    /// The relay of this place.
    pub fn relay(&self, place: usize) -> Result<&RelayHost> {
        self.relays().nth(place).with_context(|| format!("no relay {place}"))
    }

    /// Writes the configuration to all relays.
    pub fn write_config(&self) -> Result<()> {
        let text = self.lab.site().text()?;
        self.relays().try_for_each(|relay| relay.write_config(&text))
    }

    /// Writes the configuration and runs `relay up` everywhere.
    pub fn up(&self) -> Result<()> {
        self.write_config()?;
        self.relays().try_for_each(|relay| relay.up().map(drop))
    }

    /// Starts `relay mesh agent` on a relay.
    pub fn agent(&self, place: usize) -> Result<Agent> {
        Agent::start(self.relay(place)?)
    }

    /// Starts `relay mesh agent` on all.
    pub fn agents(&self) -> Result<Vec<Agent>> {
        self.relays().map(Agent::start).collect()
    }

    /// Starts keepalived on a relay.
    pub fn keepalived(&self, place: usize) -> Result<Keepalived> {
        Keepalived::start(self.relay(place)?, place)
    }

    /// Starts keepalived on all relays. The first one gets the address.
    pub fn keepalived_everywhere(&self) -> Result<Vec<Keepalived>> {
        let first = self.keepalived(0)?;
        self.await_address(0)?;
        let others = (1..NAMES.len()).map(|place| self.keepalived(place));
        [Ok(first)].into_iter().chain(others).collect()
    }

    /// Waits until this relay alone has the peers' address.
    pub fn await_address(&self, place: usize) -> Result<()> {
        deadline::until(&format!("the address at {}", NAMES[place]), || {
            Ok((self.holder()? == Some(place)).then_some(()))
        })
    }

    /// Gives the peers' address to this relay alone, by hand.
    pub fn hold(&self, place: usize) -> Result<()> {
        for (other, relay) in self.relays().enumerate() {
            if other != place && lan::has(relay.namespace())? {
                lan::release(relay.namespace())?;
            }
        }
        lan::hold(self.relay(place)?.namespace())?;
        lan::forget(self.lab.internet())
    }

    /// The relay that has the peers' address, if exactly one has.
    pub fn holder(&self) -> Result<Option<usize>> {
        let mut holders = Vec::new();
        for (place, relay) in self.relays().enumerate() {
            if lan::has(relay.namespace())? {
                holders.push(place);
            }
        }
        Ok(holders.first().copied().filter(|_| holders.len() == 1))
    }

    /// Pulls a relay's cable.
    pub fn unplug(&self, place: usize) -> Result<()> {
        lan::port(self.lab.internet(), NAMES[place], "down")
    }

    /// Puts it back.
    pub fn plug(&self, place: usize) -> Result<()> {
        lan::port(self.lab.internet(), NAMES[place], "up")
    }

    /// Drops what two relays send each other, until [`Self::heal`].
    pub fn split(&self, one: usize, other: usize) -> Result<()> {
        lan::split(self.lab.internet(), one, other)
    }

    /// Ends all splits.
    pub fn heal(&self) -> Result<()> {
        lan::heal(self.lab.internet())
    }

    /// Has a peer dial a relay's own address, and send a packet there.
    pub fn move_to(&self, peer: &Peer, place: usize) -> Result<()> {
        dial(peer, address(place))?;
        self.await_session(peer)
    }

    /// Has a peer dial the address that moves, and send a packet there.
    pub fn move_to_any(&self, peer: &Peer) -> Result<()> {
        dial(peer, UNDERLAY.parse()?)?;
        self.await_session(peer)
    }

    /// What `relay mesh status` shows of a relay.
    pub fn status(&self, place: usize) -> Result<MeshStatus> {
        MeshStatus::read(self.relay(place)?)
    }

    /// Waits, up to `limit`, until all relays know that so many peers are at home at each.
    pub fn await_homes(&self, limit: Duration, expected: [usize; NAMES.len()]) -> Result<()> {
        let mut seen = Vec::new();
        deadline::within(limit, &format!("{expected:?} peers at each relay"), || {
            seen.clear();
            for relay in self.relays() {
                let status = MeshStatus::read(relay)?;
                seen.push(status.relays.iter().map(|relay| relay.peers).collect::<Vec<_>>());
            }
            Ok(seen.iter().all(|peers| peers[..] == expected[..]).then_some(()))
        })
        .with_context(|| format!("they know of {seen:?}"))
    }

    /// Waits for a session, and sends a packet that is in the peer's AllowedIPs.
    fn await_session(&self, peer: &Peer) -> Result<()> {
        self.lab.await_handshake(peer)?;
        let other = self.lab.peers().iter().find(|other| other.name() != peer.name());
        Echo::between(peer, other.context("another peer")?, Family::V4)?.send(1).map(drop)
    }
}

/// The own address of the relay of this place.
pub fn address(place: usize) -> IpAddr {
    let last = u8::try_from(place).map_or(u8::MAX, |place| 11 + place);
    IpAddr::from([192, 0, 2, last])
}

fn host(internet: &Namespace, directory: &Path, place: usize) -> Result<RelayHost> {
    let name = NAMES[place];
    let namespace = Namespace::create(name)?;
    lan::attach(internet, &namespace, name, address(place))?;
    RelayHost::apart(namespace, &directory.join(name))
}

/// Has a peer forget its session and call this address.
fn dial(peer: &Peer, address: IpAddr) -> Result<()> {
    let (namespace, name) = (peer.namespace(), peer.name());
    let config = namespace.run("wg", &["showconf", name])?;
    let (_own, relay) = config.split_once("[Peer]").context("a peer without a relay")?;
    let mut section = "[Peer]".to_owned();
    let mut key = String::new();
    for line in relay.lines() {
        match line.split_once(" = ") {
            Some(("Endpoint", _)) => writeln!(section, "Endpoint = {address}:{PORT}")?,
            Some(("PublicKey", value)) => {
                key = value.to_owned();
                writeln!(section, "{line}")?;
            }
            _ => writeln!(section, "{line}")?,
        }
    }
    namespace.run("wg", &["set", name, "peer", &key, "remove"])?;
    namespace.feed("wg", &["addconf", name, "/proc/self/fd/0"], &section)
}

fn generate() -> Result<PrivateKey> {
    PrivateKey::generate().map_err(|error| anyhow!("random bytes: {error}"))
}

fn write_key(path: &Path, key: &PrivateKey) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("create {}", path.display()))?;
    writeln!(file, "{}", *key.to_base64())?;
    Ok(())
}
