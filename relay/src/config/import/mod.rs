//! Converts a `wg-quick(8)` hub file:
//!
//! - `text`: its encoding; `kind`: what it is if not a hub file; `wg_quick`: its lines;
//! - `interface`, `peers`, `names`: what they mean for relay;
//! - `remarks`: what was not converted.

mod interface;
mod kind;
mod names;
mod peers;
mod remarks;
mod text;
mod wg_quick;

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::{
    config::{
        edit::{Staged, WriteError, assignments, list, stage_key},
        read::{Loaded, Options, Problems, Source, judge},
    },
    model::{InterfaceName, PeerName, PresharedKey, PrivateKey},
};
use interface::Interface;
use peers::ImportedPeer;
pub use remarks::Remark;
use wg_quick::Hub;

/// A converted hub file, and the keys that it contained. Redacted `Debug` of keys.
#[derive(Debug)]
pub struct Import {
    text: String,
    remarks: Vec<Remark>,
    key_names: KeyNames,
    private_key: Option<PrivateKey>,
    preshared_keys: Vec<(PeerName, PresharedKey)>,
}

/// Why a file cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Lines that are invalid in WireGuard, too, or that relay does not support.
    #[error("{}", lines(.0))]
    Lines(Vec<Remark>),
    /// The result is not valid.
    #[error("the converted configuration fails `relay check`:\n{0}")]
    Problems(#[source] Problems),
}

fn lines(remarks: &[Remark]) -> String {
    remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Import {
    /// Converts a hub file, for a relay on `interface`, or the default one. Key files are named after
    /// `output`, beside which they go.
    ///
    /// # Errors
    /// All invalid lines, or what the file is instead of a hub file.
    pub fn parse(
        bytes: &[u8],
        interface: Option<&InterfaceName>,
        output: &Path,
    ) -> Result<Self, ImportError> {
        let Some((text, encoding)) = text::decode(bytes) else {
            return Err(ImportError::Lines(vec![kind::of_bytes(bytes)]));
        };
        if let Some(other) = kind::of_text(&text) {
            return Err(ImportError::Lines(vec![other]));
        }
        let hub = wg_quick::read(&text);
        if let Some(client) = kind::of_client(&hub) {
            return Err(ImportError::Lines(vec![client]));
        }
        let Hub { interface: section, peers: sections, mut remarks } = hub;
        if let Some(Remark { line, text }) = encoding {
            remarks.one(line, text);
        }
        let mut hub = Interface::read(&section, &mut remarks);
        let own = hub.private_key.as_ref().map(PrivateKey::public_key);
        let mut peers = peers::read(&sections, &hub.overlay, own, &mut remarks);
        peers::give_addresses(&mut hub.overlay, &hub.unusable, &mut peers, &mut remarks);
        peers::unreached(&hub.overlay, &peers, &mut remarks);
        let remarks = remarks.finish().map_err(ImportError::Lines)?;
        let key_names = KeyNames::of(output);
        let text = configuration(interface, &hub, &peers, &key_names);
        let preshared_keys =
            peers.into_iter().filter_map(|peer| Some((peer.name, peer.preshared_key?))).collect();
        Ok(Self { text, remarks, key_names, private_key: hub.private_key, preshared_keys })
    }

    /// The configuration. It names key files and contains no secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was not converted, or changed.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The key files that the configuration names, relative to it.
    pub fn key_files(&self) -> Vec<PathBuf> {
        let Self { key_names, preshared_keys, .. } = self;
        let own = self.private_key.iter().map(|_| key_names.private.clone());
        own.chain(preshared_keys.iter().map(|(name, _)| key_names.preshared(name))).collect()
    }

    /// Parses the configuration as if it was at `path`.
    ///
    /// # Errors
    /// It is not valid.
    pub fn load(&self, path: &Path) -> Result<Loaded, ImportError> {
        let source = Source { path: path.to_owned(), text: Ok(self.text.clone()) };
        judge(&[source], Options::default()).map_err(ImportError::Problems)
    }

    /// Writes the configuration to `path`, and key files beside it, all with mode 0600.
    ///
    /// # Errors
    /// A file exists or could not be written. None is left behind.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let keys = directory.join(&self.key_names.preshared);
        let mut written =
            Written { files: Vec::new(), directory: (!keys.exists()).then_some(keys) };
        let mut staged = Vec::new();
        if let Some(key) = &self.private_key {
            staged.push(stage_key(&directory.join(&self.key_names.private), &key.to_base64())?);
        }
        for (name, key) in &self.preshared_keys {
            staged.push(stage_key(
                &directory.join(self.key_names.preshared(name)),
                &key.to_base64(),
            )?);
        }
        // Last, so that no configuration exists without its keys.
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

fn configuration(
    interface: Option<&InterfaceName>,
    hub: &Interface,
    peers: &[ImportedPeer],
    key_names: &KeyNames,
) -> String {
    let mut relay = Vec::new();
    relay.extend(interface.map(|interface| ("interface", format!("\"{interface}\""))));
    relay.push(("address", list(&hub.overlay)));
    relay.extend(hub.listen_port.map(|port| ("listen_port", port.to_string())));
    relay.extend(hub.mtu.map(|mtu| ("mtu", mtu.to_string())));
    if hub.private_key.is_some() {
        relay.push(("private_key_file", quoted(&key_names.private)));
    }
    let networks: Vec<IpNet> = hub.overlay.iter().map(IpNet::trunc).collect();
    let mut whole = assignments("[relay]", &relay);
    whole.push_str(
        "# The address that peers dial, host:port; written into client configurations.\n\
         # endpoint = \"vpn.example.org:51820\"\n\n\
         # All peers may talk to each other in the overlay, as on the hub. To restrict that, give \
         peers\n# lists of their own, or shorten this one.\n",
    );
    whole.push_str(&assignments("[defaults]", &[("allowed_ips", list(&networks))]));
    for peer in peers {
        whole.push('\n');
        whole.push_str(&table(peer, key_names));
    }
    whole
}

fn table(peer: &ImportedPeer, key_names: &KeyNames) -> String {
    let mut lines = vec![("name", format!("\"{}\"", peer.name))];
    if let Some(description) = &peer.description {
        lines.push(("description", toml::Value::from(description.as_str()).to_string()));
    }
    if !peer.enabled {
        lines.push(("enabled", "false".to_owned()));
    }
    lines.push(("public_key", format!("\"{}\"", peer.public_key)));
    if peer.preshared_key.is_some() {
        lines.push(("preshared_key_file", quoted(&key_names.preshared(&peer.name))));
    }
    lines.push(("address", list(&peer.addresses)));
    if !peer.routes.is_empty() {
        lines.push(("routes", list(&peer.routes)));
    }
    if let Some(seconds) = peer.persistent_keepalive {
        lines.push(("persistent_keepalive", seconds.to_string()));
    }
    if let Some(endpoint) = &peer.own_endpoint {
        lines.push(("own_endpoint", format!("\"{endpoint}\"")));
    }
    assignments("[[peer]]", &lines)
}

fn quoted(path: &Path) -> String {
    toml::Value::from(path.display().to_string()).to_string()
}

/// Names of key files beside a configuration.
#[derive(Debug)]
struct KeyNames {
    private: PathBuf,
    /// The directory of preshared keys.
    preshared: PathBuf,
}

impl KeyNames {
    /// `relay.toml` has `private.key` and `psk`; other names become a prefix.
    fn of(output: &Path) -> Self {
        match output.file_stem().and_then(|stem| stem.to_str()) {
            Some(stem) if stem != "relay" => Self {
                private: format!("{stem}.key").into(),
                preshared: format!("{stem}.psk").into(),
            },
            Some(_) | None => Self { private: "private.key".into(), preshared: "psk".into() },
        }
    }

    fn preshared(&self, name: &PeerName) -> PathBuf {
        self.preshared.join(name.as_str())
    }
}

/// Files, and the directory created for them, that are removed unless all could be written.
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
        // The error that led here is reported.
        for path in &self.files {
            drop(std::fs::remove_file(path));
        }
        if let Some(directory) = &self.directory {
            drop(std::fs::remove_dir(directory));
        }
    }
}
