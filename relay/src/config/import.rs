//! What a hub's `wg-quick(8)` file says, as a configuration of relay.

mod names;
mod wg_quick;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::{
    Loaded, Options, Problems, Source,
    edit::{assignments, list},
    free, judge,
    secrets::stage_key,
    staged::{Staged, WriteError},
    table::shown,
    value::{self, short, taken_by_network},
};
use crate::model::{InterfaceName, PeerName, PresharedKey, PrivateKey, PublicKey, host_prefix};
use names::Names;
use wg_quick::{Entry, Hub, Section};

/// The private key's file, beside the configuration.
const PRIVATE_KEY_FILE: &str = "private.key";
/// The directory of preshared keys, beside the configuration.
const PRESHARED_KEYS: &str = "psk";

/// A configuration made of a hub's file, and the keys that stood in it. Redacted `Debug` of keys.
#[derive(Debug)]
pub struct Import {
    text: String,
    remarks: Vec<Remark>,
    private_key: Option<PrivateKey>,
    preshared_keys: Vec<(PeerName, PresharedKey)>,
}

/// Something about one line of the hub's file. It never holds the line's value where that may be
/// a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line, from 1; 0 for what no line says.
    pub line: usize,
    /// What is to be known about it.
    pub text: String,
}

/// Why a hub's file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Lines that WireGuard would not take either, or that relay cannot do with.
    #[error("{}", lines(.0))]
    Lines(Vec<Remark>),
    /// What was made of it is not right.
    #[error("what was made of the file would not pass `relay check`:\n{0}")]
    Problems(#[source] Problems),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

fn lines(remarks: &[Remark]) -> String {
    remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Import {
    /// Makes the configuration of what `text` says, for a relay on `interface` (by default its own).
    ///
    /// # Errors
    /// Every line that cannot be understood.
    pub fn parse(text: &str, interface: Option<&InterfaceName>) -> Result<Self, ImportError> {
        let Hub { interface: hub, peers, commented_out, unknown } = wg_quick::read(text);
        let mut reader = Reader {
            faults: unknown,
            remarks: commented_out,
            overlay: Vec::new(),
            names: Names::default(),
        };
        let private_key = reader.interface(&hub);
        let relay = reader.relay_lines(&hub, interface, private_key.is_some());
        let peers = reader.peers(&peers, private_key.as_ref());
        let Reader { mut faults, mut remarks, overlay, .. } = reader;
        if !faults.is_empty() {
            faults.sort();
            return Err(ImportError::Lines(faults));
        }
        // What no line says comes last.
        remarks.sort_by_key(|remark| (remark.line == 0, remark.line));
        let mut whole = assignments("[relay]", &relay);
        whole.push_str(
            "# What peers dial, host:port; printed into their configurations.\n\
             # endpoint = \"vpn.example.org:51820\"\n\n\
             # Everybody may talk to everybody in the overlay, as on the hub. Give peers lists of \
             their own, or\n# a shorter one here, to change that.\n",
        );
        let networks: Vec<IpNet> = overlay.iter().map(IpNet::trunc).collect();
        whole.push_str(&assignments("[defaults]", &[("allowed_ips", list(&networks))]));
        for peer in &peers {
            whole.push('\n');
            whole.push_str(&peer.table());
        }
        let preshared_keys =
            peers.into_iter().filter_map(|peer| Some((peer.name, peer.preshared_key?))).collect();
        Ok(Self { text: whole, remarks, private_key, preshared_keys })
    }

    /// The configuration. It names key files and holds no secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was not carried over, or not as it was.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The names of the key files that the configuration names, beside it.
    pub fn key_files(&self) -> Vec<PathBuf> {
        let own = self.private_key.iter().map(|_| PathBuf::from(PRIVATE_KEY_FILE));
        own.chain(self.preshared_keys.iter().map(|(name, _)| preshared_key_file(name))).collect()
    }

    /// What the configuration says when it stands at `path`.
    ///
    /// # Errors
    /// It is not right.
    pub fn load(&self, path: &Path) -> Result<Loaded, ImportError> {
        let source = Source { path: path.to_owned(), text: Ok(self.text.clone()) };
        judge(&[source], Options::default()).map_err(ImportError::Problems)
    }

    /// Writes the configuration to `path`, and the keys into files beside it, mode 0600.
    ///
    /// # Errors
    /// One of the files is there already, or could not be written. None is left then.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let keys = directory.join(PRESHARED_KEYS);
        let mut written =
            Written { files: Vec::new(), directory: (!keys.exists()).then_some(keys) };
        let mut staged = Vec::new();
        if let Some(key) = &self.private_key {
            staged.push(stage_key(&directory.join(PRIVATE_KEY_FILE), &key.to_base64())?);
        }
        for (name, key) in &self.preshared_keys {
            staged.push(stage_key(&directory.join(preshared_key_file(name)), &key.to_base64())?);
        }
        // Last: a configuration never stands there without its keys.
        staged.push(Staged::create(path, self.text.as_bytes(), 0o600, 0o700)?);
        for file in staged {
            let path = file.path().to_owned();
            file.commit()?;
            written.files.push(path);
        }
        written.keep();
        Ok(())
    }
}

fn preshared_key_file(name: &PeerName) -> PathBuf {
    Path::new(PRESHARED_KEYS).join(name.as_str())
}

/// Files that go again unless all of them could be written, and the directory made for them.
struct Written {
    files: Vec<PathBuf>,
    directory: Option<PathBuf>,
}

impl Written {
    fn keep(mut self) {
        self.files.clear();
        self.directory = None;
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // The error that led here says more than one of these.
        for path in &self.files {
            drop(std::fs::remove_file(path));
        }
        if let Some(directory) = &self.directory {
            drop(std::fs::remove_dir(directory));
        }
    }
}

/// One peer of the hub.
struct ImportedPeer {
    name: PeerName,
    description: Option<String>,
    public_key: PublicKey,
    preshared_key: Option<PresharedKey>,
    addresses: Vec<IpAddr>,
    routes: Vec<IpNet>,
    persistent_keepalive: Option<u16>,
}

impl ImportedPeer {
    fn table(&self) -> String {
        let mut lines = vec![("name", format!("\"{}\"", self.name))];
        if let Some(description) = &self.description {
            lines.push(("description", toml::Value::from(description.as_str()).to_string()));
        }
        lines.push(("public_key", format!("\"{}\"", self.public_key)));
        if self.preshared_key.is_some() {
            let file = preshared_key_file(&self.name);
            lines.push(("preshared_key_file", format!("\"{}\"", file.display())));
        }
        lines.push(("address", list(&self.addresses)));
        if !self.routes.is_empty() {
            lines.push(("routes", list(&self.routes)));
        }
        if let Some(seconds) = self.persistent_keepalive {
            lines.push(("persistent_keepalive", seconds.to_string()));
        }
        assignments("[[peer]]", &lines)
    }
}

/// Makes values of the hub's entries, and collects what is wrong with them.
struct Reader {
    faults: Vec<Remark>,
    remarks: Vec<Remark>,
    overlay: Vec<IpNet>,
    names: Names,
}

impl Reader {
    fn fault(&mut self, line: usize, text: impl Into<String>) {
        self.faults.push(Remark { line, text: text.into() });
    }

    fn remark(&mut self, line: usize, text: impl Into<String>) {
        self.remarks.push(Remark { line, text: text.into() });
    }

    /// Reads the overlay and the hub's key.
    fn interface(&mut self, hub: &Section<'_>) -> Option<PrivateKey> {
        for (line, text) in hub.items("address") {
            match value::overlay_address(text) {
                Ok(address) if address.prefix_len() == address.max_prefix_len() => {
                    let problem = "leaves no room for peers; write the length of the network";
                    self.fault(line, format!("Address: {} {problem}", shown(text)));
                }
                Ok(address) => self.overlay.push(address),
                Err(fault) => self.fault(line, format!("Address: {fault}")),
            }
        }
        if hub.items("address").next().is_none() {
            self.fault(hub.line, "[Interface] has no Address; write the relay's, with its length");
        }
        for Entry { line, key, .. } in &hub.entries {
            if let Some(remark) = of_interface(key) {
                self.remark(*line, format!("{key} {remark}"));
            }
        }
        match hub.last("privatekey") {
            Some(Entry { line, value, .. }) => match value.parse() {
                Ok(key) => Some(key),
                Err(error) => {
                    self.fault(*line, format!("PrivateKey: {error}"));
                    None
                }
            },
            None => {
                let text = "PrivateKey is not in the file; put the hub's key into the relay's \
                            private_key_file, or its peers will not know the relay";
                self.remark(hub.line, text);
                None
            }
        }
    }

    /// The lines of `[relay]`.
    fn relay_lines(
        &mut self,
        hub: &Section<'_>,
        interface: Option<&InterfaceName>,
        has_key: bool,
    ) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if let Some(interface) = interface {
            lines.push(("interface", format!("\"{interface}\"")));
        }
        lines.push(("address", list(&self.overlay)));
        match hub.last("listenport") {
            Some(entry) => lines.extend(self.number(entry).map(|port| ("listen_port", port))),
            None => {
                let text = "ListenPort is not in the file, so the hub's port was any; 51820 here";
                self.remark(hub.line, text);
            }
        }
        if let Some(entry) = hub.last("mtu") {
            lines.extend(self.number(entry).map(|mtu| ("mtu", mtu)));
        }
        if has_key {
            lines.push(("private_key_file", format!("\"{PRIVATE_KEY_FILE}\"")));
        }
        lines
    }

    fn number(&mut self, Entry { line, key, value }: &Entry<'_>) -> Option<String> {
        let number = value.parse::<u16>().ok().filter(|number| *number > 0);
        if number.is_none() {
            self.fault(*line, format!("{key}: {} is no number from 1 to 65535", shown(value)));
        }
        number.map(|number| number.to_string())
    }

    fn peers(&mut self, sections: &[Section<'_>], own: Option<&PrivateKey>) -> Vec<ImportedPeer> {
        let own = own.map(PrivateKey::public_key);
        let mut keys: HashMap<PublicKey, usize> = HashMap::new();
        let owners = last_owners(sections);
        let mut peers = Vec::new();
        for section in sections {
            let Some(public_key) = self.public_key(section) else { continue };
            if own == Some(public_key) {
                self.fault(section.line, "PublicKey: is the hub's own");
            }
            if let Some(other) = keys.insert(public_key, section.line) {
                self.fault(section.line, format!("PublicKey: is that of the peer of line {other}"));
            }
            let (name, description) = self.names.of(section.name.as_deref());
            let preshared_key = self.preshared_key(section);
            let persistent_keepalive = self.keepalive(section);
            let (addresses, routes) = self.owned(section, &name, &owners);
            for Entry { line, key, .. } in &section.entries {
                if let Some(remark) = of_peer(key) {
                    self.remark(*line, format!("{key} of {name} {remark}"));
                }
            }
            peers.push(ImportedPeer {
                name,
                description: description.filter(|text| value::description(text).is_ok()),
                public_key,
                preshared_key,
                addresses,
                routes,
                persistent_keepalive,
            });
        }
        self.give_addresses(&mut peers, sections);
        self.close(&peers);
        peers
    }

    fn public_key(&mut self, section: &Section<'_>) -> Option<PublicKey> {
        let Some(Entry { line, value, .. }) = section.last("publickey") else {
            self.fault(section.line, "[Peer] has no PublicKey");
            return None;
        };
        match value.parse() {
            Ok(key) => Some(key),
            Err(error) => {
                self.fault(*line, format!("PublicKey: {error}"));
                None
            }
        }
    }

    fn preshared_key(&mut self, section: &Section<'_>) -> Option<PresharedKey> {
        let Entry { line, value, .. } = section.last("presharedkey")?;
        match value.parse() {
            Ok(key) => Some(key),
            Err(error) => {
                self.fault(*line, format!("PresharedKey: {error}"));
                None
            }
        }
    }

    fn keepalive(&mut self, section: &Section<'_>) -> Option<u16> {
        let Entry { line, value, .. } = section.last("persistentkeepalive")?;
        let seconds = if value.eq_ignore_ascii_case("off") { Ok(0) } else { value.parse() };
        if seconds.is_err() {
            let text = format!("PersistentKeepalive: {} is no number up to 65535", shown(value));
            self.fault(*line, text);
        }
        seconds.ok()
    }

    /// What the peer owns: addresses in the overlay, and the networks behind it.
    fn owned(
        &mut self,
        section: &Section<'_>,
        name: &PeerName,
        owners: &HashMap<IpNet, usize>,
    ) -> (Vec<IpAddr>, Vec<IpNet>) {
        let (mut addresses, mut routes) = (Vec::new(), Vec::new());
        let items: Vec<_> = section.items("allowedips").collect();
        for (line, text) in items {
            let Some(written) = wg_quick::prefix(text) else {
                self.fault(line, format!("AllowedIPs: {} is no address or network", shown(text)));
                continue;
            };
            let network = written.trunc();
            let shown = short(&network);
            if written != network {
                self.remark(
                    line,
                    format!("{written} of {name} is {network}, as WireGuard takes it"),
                );
            }
            if let Err(fault) = value::network(&network.to_string()) {
                self.remark(line, format!("{shown} of {name} is left out: {fault}"));
            } else if owners.get(&network).is_some_and(|owner| *owner != section.line) {
                let text =
                    "is left out: a later peer has it too, and WireGuard gives it to the last";
                self.remark(line, format!("{shown} of {name} {text}"));
            } else if let Some(what) = self.reserved(&network) {
                self.remark(line, format!("{shown} of {name} is left out: it is {what}"));
            } else if self.is_address(&network) {
                if !addresses.contains(&network.addr()) {
                    addresses.push(network.addr());
                }
            } else if !routes.contains(&network) {
                routes.push(network);
            }
        }
        (addresses, routes)
    }

    fn is_address(&self, network: &IpNet) -> bool {
        network.prefix_len() == network.max_prefix_len()
            && self.overlay.iter().any(|overlay| overlay.contains(network))
    }

    /// What no peer can own.
    fn reserved(&self, network: &IpNet) -> Option<&'static str> {
        self.overlay.iter().find_map(|overlay| {
            if *network == overlay.trunc() {
                Some("the overlay itself")
            } else if *network == host_prefix(overlay.addr()) {
                Some("the relay's own address")
            } else if *network == host_prefix(network.addr()) && overlay.contains(network) {
                taken_by_network(network.addr(), overlay)
            } else {
                None
            }
        })
    }

    /// Every peer of a relay has an address. One that had none gets the next that is free.
    fn give_addresses(&mut self, peers: &mut [ImportedPeer], sections: &[Section<'_>]) {
        let mut taken: Vec<IpNet> = peers
            .iter()
            .flat_map(|peer| {
                let addresses = peer.addresses.iter().copied().map(host_prefix);
                addresses.chain(peer.routes.iter().copied())
            })
            .collect();
        for (peer, section) in peers.iter_mut().zip(sections) {
            if !peer.addresses.is_empty() {
                continue;
            }
            let Some(network) = self.overlay.first().copied() else { return };
            match free::free_address(network, taken.iter().copied()) {
                Ok(address) => {
                    taken.push(host_prefix(address));
                    peer.addresses.push(address);
                    let text = "had no address in the overlay and gets";
                    let remedy = "which its client does not have yet";
                    self.remark(section.line, format!("{} {text} {address}, {remedy}", peer.name));
                }
                Err(error) => self.fault(section.line, format!("{}: {error}", peer.name)),
            }
        }
    }

    /// What holds for all peers, which is not in the hub's file.
    fn close(&mut self, peers: &[ImportedPeer]) {
        let routed: Vec<String> = peers
            .iter()
            .flat_map(|peer| {
                peer.routes.iter().map(|it| format!("{} behind {}", short(it), peer.name))
            })
            .collect();
        if !routed.is_empty() {
            let text = "nobody's allowed_ips hold the networks behind peers, so nobody reaches them \
                        yet; add them to the lists of those who may";
            self.remark(0, format!("{text}: {}", routed.join(", ")));
        }
    }
}

/// The peer, by its line, that WireGuard would give each prefix to.
fn last_owners(sections: &[Section<'_>]) -> HashMap<IpNet, usize> {
    sections
        .iter()
        .flat_map(|section| {
            let items = section.items("allowedips");
            items.filter_map(|(_, text)| Some((wg_quick::prefix(text)?.trunc(), section.line)))
        })
        .collect()
}

/// What becomes of a key of `[Interface]` that is not carried over.
fn of_interface(key: &str) -> Option<&'static str> {
    match key.to_ascii_lowercase().as_str() {
        "address" | "listenport" | "privatekey" | "mtu" => None,
        "preup" | "postup" | "predown" | "postdown" => Some(
            "is not carried over: relay runs no commands, and between peers needs neither \
             forwarding nor NAT; for the way out of the overlay see egress",
        ),
        "dns" => Some(
            "is not carried over: it is the hub's own resolver; the clients' is dns in [defaults]",
        ),
        "table" => Some("is not carried over: `relay up` sets the routes to its peers itself"),
        "fwmark" => Some("is not carried over: relay marks no packets of the underlay"),
        "saveconfig" => {
            Some("is not carried over: the file says what runs, never the other way round")
        }
        _ => Some("is not carried over: relay does not know it"),
    }
}

/// What becomes of a key of `[Peer]` that is not carried over.
fn of_peer(key: &str) -> Option<&'static str> {
    match key.to_ascii_lowercase().as_str() {
        "publickey" | "presharedkey" | "allowedips" | "persistentkeepalive" => None,
        "endpoint" => {
            Some("is not carried over: peers dial the relay, which learns where they are")
        }
        _ => Some("is not carried over: relay does not know it"),
    }
}
