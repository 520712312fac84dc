//! The configuration of a lab.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use relay::model::{PrivateKey, PublicKey};
use toml::{Table, Value};

/// `examples/one-to-many.toml`: an administrator and three nodes.
const ONE_TO_MANY: &str = include_str!("../../examples/one-to-many.toml");

/// `examples/node-to-node.toml`: two nodes.
const NODE_TO_NODE: &str = include_str!("../../examples/node-to-node.toml");

/// An example configuration with generated keys and paths of this machine.
#[derive(Debug, Clone)]
pub struct Site {
    table: Table,
    keys: BTreeMap<String, PrivateKey>,
}

impl Site {
    /// One administrator, A, and the nodes B, C and D.
    pub fn one_to_many() -> Result<Self> {
        Self::of(ONE_TO_MANY).context("examples/one-to-many.toml")
    }

    /// The nodes A and B.
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

    /// Sets the path of the private key to a file in `directory`.
    pub fn live_in(&mut self, directory: &Path) -> Result<()> {
        let path = directory.join("private.key");
        let path = path.to_str().context("a path in UTF-8")?;
        self.relay_mut()?.insert("private_key_file".to_owned(), path.into());
        Ok(())
    }

    /// The configuration as TOML.
    pub fn text(&self) -> Result<String> {
        Ok(toml::to_string_pretty(&self.table)?)
    }

    pub fn relay_mut(&mut self) -> Result<&mut Table> {
        self.table.get_mut("relay").and_then(Value::as_table_mut).context("no [relay]")
    }

    /// The `[mesh]` table, created if missing.
    pub fn mesh_mut(&mut self) -> Result<&mut Table> {
        let mesh = self.table.entry("mesh").or_insert_with(|| Table::new().into());
        mesh.as_table_mut().context("mesh is no table")
    }

    /// Adds a relay to the mesh.
    pub fn add_relay(&mut self, name: &str, key: &PublicKey, host: IpAddr) -> Result<()> {
        let mut relay = Table::new();
        relay.insert("name".to_owned(), name.into());
        relay.insert("public_key".to_owned(), key.to_string().into());
        relay.insert("host".to_owned(), host.to_string().into());
        let relays = self.mesh_mut()?.entry("relay").or_insert_with(|| Value::Array(vec![]));
        relays.as_array_mut().context("mesh.relay is no array")?.push(relay.into());
        Ok(())
    }

    /// Removes a relay from the mesh.
    pub fn remove_relay(&mut self, name: &str) -> Result<()> {
        let relays = self.mesh_mut()?.get_mut("relay").and_then(Value::as_array_mut);
        let relays = relays.context("no [[mesh.relay]]")?;
        let before = relays.len();
        relays.retain(|relay| name_of(relay) != Some(name));
        ensure!(before > relays.len(), "no relay {name}");
        Ok(())
    }

    /// The `[guard]` table, created if missing.
    pub fn guard_mut(&mut self) -> Result<&mut Table> {
        let guard = self.table.entry("guard").or_insert_with(|| Table::new().into());
        guard.as_table_mut().context("guard is no table")
    }

    /// Removes the `[guard]` table.
    pub fn without_guard(&mut self) {
        self.table.remove("guard");
    }

    /// The `[names]` table, created if missing.
    pub fn names_mut(&mut self) -> Result<&mut Table> {
        let names = self.table.entry("names").or_insert_with(|| Table::new().into());
        names.as_table_mut().context("names is no table")
    }

    pub fn names(&self) -> Result<Vec<String>> {
        self.peers()?
            .iter()
            .map(|peer| Ok(name_of(peer).context("a peer without a name")?.to_owned()))
            .collect()
    }

    /// The names of the first peers: `let [a, b] = site.first()?`.
    pub fn first<const N: usize>(&self) -> Result<[String; N]> {
        let names: Vec<String> = self.names()?.into_iter().take(N).collect();
        names.try_into().ok().with_context(|| format!("fewer than {N} peers"))
    }

    /// The `[[peer]]` table of this name.
    pub fn peer_mut(&mut self, name: &str) -> Result<&mut Table> {
        self.peers_mut()?
            .iter_mut()
            .find(|peer| name_of(peer) == Some(name))
            .and_then(Value::as_table_mut)
            .with_context(|| format!("no peer {name}"))
    }

    pub fn set(&mut self, peer: &str, key: &str, value: impl Into<Value>) -> Result<()> {
        self.peer_mut(peer)?.insert(key.to_owned(), value.into());
        Ok(())
    }

    /// Adds addresses to a peer's `allowed_ips`.
    pub fn allow(&mut self, peer: &str, addresses: &[IpAddr]) -> Result<()> {
        let list =
            self.peer_mut(peer)?.entry("allowed_ips").or_insert_with(|| Value::Array(vec![]));
        let list = list.as_array_mut().context("allowed_ips is no list")?;
        list.extend(addresses.iter().map(|address| Value::from(address.to_string())));
        Ok(())
    }

    /// Removes addresses from a peer's `allowed_ips`.
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

    /// Adds a peer with a new key, which lists nobody and is not listed.
    pub fn add_peer(&mut self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        let addresses: Vec<Value> =
            addresses.iter().map(|address| Value::from(address.to_string())).collect();
        let mut peer = Table::new();
        peer.insert("name".to_owned(), name.into());
        peer.insert("address".to_owned(), addresses.into());
        self.peers_mut()?.push(peer.into());
        self.new_key(name)
    }

    /// Removes a peer.
    pub fn remove_peer(&mut self, name: &str) -> Result<()> {
        let peers = self.peers_mut()?;
        let before = peers.len();
        peers.retain(|peer| name_of(peer) != Some(name));
        if before == peers.len() {
            bail!("no peer {name}");
        }
        Ok(())
    }

    /// Empties the `allowed_ips` of all peers, so that rules alone let packets through.
    pub fn without_lists(&mut self) -> Result<()> {
        for name in self.names()? {
            self.peer_mut(&name)?.remove("allowed_ips");
        }
        Ok(())
    }

    /// Adds a rule: `from` may begin this with `to`.
    pub fn add_rule(&mut self, name: &str, from: &str, to: &str, ports: &[&str]) -> Result<()> {
        let list = |entries: &[&str]| Value::from(entries.to_vec());
        let mut rule = Table::new();
        rule.insert("name".to_owned(), name.into());
        rule.insert("from".to_owned(), list(&[from]));
        rule.insert("to".to_owned(), list(&[to]));
        rule.insert("ports".to_owned(), list(ports));
        self.rules_mut()?.push(rule.into());
        Ok(())
    }

    /// The `[[rule]]` table of this name.
    pub fn rule_mut(&mut self, name: &str) -> Result<&mut Table> {
        self.rules_mut()?
            .iter_mut()
            .find(|rule| name_of(rule) == Some(name))
            .and_then(Value::as_table_mut)
            .with_context(|| format!("no rule {name}"))
    }

    /// Removes a rule.
    pub fn remove_rule(&mut self, name: &str) -> Result<()> {
        let rules = self.rules_mut()?;
        let before = rules.len();
        rules.retain(|rule| name_of(rule) != Some(name));
        ensure!(before > rules.len(), "no rule {name}");
        Ok(())
    }

    pub fn private_key(&self, peer: &str) -> Result<&PrivateKey> {
        self.keys.get(peer).with_context(|| format!("no peer {peer}"))
    }

    /// A peer's first IPv4 and first IPv6 address.
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

    fn rules_mut(&mut self) -> Result<&mut Vec<Value>> {
        let rules = self.table.entry("rule").or_insert_with(|| Value::Array(vec![]));
        rules.as_array_mut().context("rule is no array")
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
