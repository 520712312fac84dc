//! The configuration of a lab.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use anyhow::{Context as _, Result, anyhow, bail};
use relay::model::PrivateKey;
use toml::{Table, Value};

/// `examples/one-to-many.toml`: an administrator and three nodes.
const ONE_TO_MANY: &str = include_str!("../../examples/one-to-many.toml");

/// `examples/node-to-node.toml`: two nodes.
const NODE_TO_NODE: &str = include_str!("../../examples/node-to-node.toml");

/// An example as its reader would use it: with keys of real peers and paths of this machine.
#[derive(Debug, Clone)]
pub struct Site {
    table: Table,
    keys: BTreeMap<String, PrivateKey>,
}

impl Site {
    /// One administrator, A, and the nodes B, C and D.
    ///
    /// # Errors
    /// The example is not what the lab expects.
    pub fn one_to_many() -> Result<Self> {
        Self::of(ONE_TO_MANY).context("examples/one-to-many.toml")
    }

    /// The nodes A and B.
    ///
    /// # Errors
    /// The example is not what the lab expects.
    pub fn node_to_node() -> Result<Self> {
        Self::of(NODE_TO_NODE).context("examples/node-to-node.toml")
    }

    fn of(example: &str) -> Result<Self> {
        let mut site = Self { table: example.parse()?, keys: BTreeMap::new() };
        let endpoint = format!("{}:51820", crate::relay_host::UNDERLAY);
        site.relay_mut()?.insert("endpoint".to_owned(), endpoint.into());
        for name in site.names()? {
            site.new_key(&name)?;
        }
        Ok(site)
    }

    /// Puts the private key file into `directory`.
    ///
    /// # Errors
    /// The example has no `[relay]`.
    pub fn live_in(&mut self, directory: &Path) -> Result<()> {
        let path = directory.join("private.key");
        let path = path.to_str().context("a path in UTF-8")?;
        self.relay_mut()?.insert("private_key_file".to_owned(), path.into());
        Ok(())
    }

    /// The file.
    ///
    /// # Errors
    /// A value that TOML cannot express.
    pub fn text(&self) -> Result<String> {
        Ok(toml::to_string_pretty(&self.table)?)
    }

    /// The `[relay]` table.
    ///
    /// # Errors
    /// There is none.
    pub fn relay_mut(&mut self) -> Result<&mut Table> {
        self.table.get_mut("relay").and_then(Value::as_table_mut).context("no [relay]")
    }

    /// The `[guard]` table, which is made where there is none.
    ///
    /// # Errors
    /// Something else has that name.
    pub fn guard_mut(&mut self) -> Result<&mut Table> {
        let guard = self.table.entry("guard").or_insert_with(|| Table::new().into());
        guard.as_table_mut().context("guard is no table")
    }

    /// Takes the `[guard]` table out.
    pub fn without_guard(&mut self) {
        self.table.remove("guard");
    }

    /// The peers' names, in the order of the file.
    ///
    /// # Errors
    /// A peer without a name.
    pub fn names(&self) -> Result<Vec<String>> {
        self.peers()?
            .iter()
            .map(|peer| Ok(name_of(peer).context("a peer without a name")?.to_owned()))
            .collect()
    }

    /// The names of the first peers: `let [a, b] = site.first()?`.
    ///
    /// # Errors
    /// There are fewer.
    pub fn first<const N: usize>(&self) -> Result<[String; N]> {
        let names: Vec<String> = self.names()?.into_iter().take(N).collect();
        names.try_into().ok().with_context(|| format!("fewer than {N} peers"))
    }

    /// The `[[peer]]` table of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn peer_mut(&mut self, name: &str) -> Result<&mut Table> {
        self.peers_mut()?
            .iter_mut()
            .find(|peer| name_of(peer) == Some(name))
            .and_then(Value::as_table_mut)
            .with_context(|| format!("no peer {name}"))
    }

    /// Sets one key of a peer.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn set(&mut self, peer: &str, key: &str, value: impl Into<Value>) -> Result<()> {
        self.peer_mut(peer)?.insert(key.to_owned(), value.into());
        Ok(())
    }

    /// Puts these addresses into a peer's `allowed_ips`, besides what is there.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn allow(&mut self, peer: &str, addresses: &[IpAddr]) -> Result<()> {
        let list =
            self.peer_mut(peer)?.entry("allowed_ips").or_insert_with(|| Value::Array(vec![]));
        let list = list.as_array_mut().context("allowed_ips is no list")?;
        list.extend(addresses.iter().map(|address| Value::from(address.to_string())));
        Ok(())
    }

    /// Takes these addresses out of a peer's `allowed_ips`.
    ///
    /// # Errors
    /// There is no such peer, or its list has none of them.
    pub fn disallow(&mut self, peer: &str, addresses: &[IpAddr]) -> Result<()> {
        let list = self.peer_mut(peer)?.get_mut("allowed_ips").and_then(Value::as_array_mut);
        let list = list.context("no allowed_ips")?;
        let before = list.len();
        list.retain(|entry| {
            let text = entry.as_str().unwrap_or_default();
            let address = text.split('/').next().unwrap_or_default();
            !addresses.iter().any(|unwanted| address == unwanted.to_string())
        });
        if before != list.len() + addresses.len() {
            bail!("{peer} does not list all of {addresses:?}");
        }
        Ok(())
    }

    /// A new peer with a key of its own, which lists nobody and is listed by nobody.
    ///
    /// # Errors
    /// The file is not what the lab expects.
    pub fn add_peer(&mut self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        let addresses: Vec<Value> =
            addresses.iter().map(|address| Value::from(address.to_string())).collect();
        let mut peer = Table::new();
        peer.insert("name".to_owned(), name.into());
        peer.insert("address".to_owned(), addresses.into());
        self.peers_mut()?.push(peer.into());
        self.new_key(name)
    }

    /// Takes a peer out.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn remove_peer(&mut self, name: &str) -> Result<()> {
        let peers = self.peers_mut()?;
        let before = peers.len();
        peers.retain(|peer| name_of(peer) != Some(name));
        if before == peers.len() {
            bail!("no peer {name}");
        }
        Ok(())
    }

    /// A peer's private key.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn private_key(&self, peer: &str) -> Result<&PrivateKey> {
        self.keys.get(peer).with_context(|| format!("no peer {peer}"))
    }

    /// A peer's first IPv4 and first IPv6 address.
    ///
    /// # Errors
    /// It lacks one of them.
    pub fn addresses(&self, name: &str) -> Result<[IpAddr; 2]> {
        let peer = self.peers()?.iter().find(|peer| name_of(peer) == Some(name));
        let addresses = peer.and_then(|peer| peer.get("address")).and_then(Value::as_array);
        let addresses: Vec<IpAddr> = addresses
            .with_context(|| format!("{name} has no address"))?
            .iter()
            .filter_map(|address| address.as_str()?.parse().ok())
            .collect();
        let first = |wanted: fn(&IpAddr) -> bool| addresses.iter().copied().find(wanted);
        Ok([
            first(IpAddr::is_ipv4).with_context(|| format!("{name} has no IPv4 address"))?,
            first(IpAddr::is_ipv6).with_context(|| format!("{name} has no IPv6 address"))?,
        ])
    }

    fn new_key(&mut self, name: &str) -> Result<()> {
        let key = PrivateKey::generate().map_err(|error| anyhow!("random bytes: {error}"))?;
        self.set(name, "public_key", key.public_key().to_string())?;
        self.keys.insert(name.to_owned(), key);
        Ok(())
    }

    fn peers(&self) -> Result<&Vec<Value>> {
        self.table.get("peer").and_then(Value::as_array).context("no [[peer]]")
    }

    fn peers_mut(&mut self) -> Result<&mut Vec<Value>> {
        self.table.get_mut("peer").and_then(Value::as_array_mut).context("no [[peer]]")
    }
}

fn name_of(peer: &Value) -> Option<&str> {
    peer.get("name").and_then(Value::as_str)
}
