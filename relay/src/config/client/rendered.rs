use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use blake2::{Blake2s256, Digest as _};
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        edit::{Staged, WriteError},
        read::read_regular,
    },
    model::{InterfaceName, PublicKey, Relay},
};

/// Version of the file.
const SCHEMA_VERSION: u32 = 1;

/// A hash of each client configuration as last rendered, by public key. It tells which clients have
/// an outdated file, and decides nothing.
#[derive(Debug)]
pub struct Rendered {
    path: PathBuf,
    hashes: BTreeMap<String, String>,
}

/// How a client configuration compares with the one rendered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None was rendered.
    Never,
    /// Equal.
    Current,
    /// Different.
    Stale,
}

/// Why the record of rendered configurations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RenderedError {
    /// It cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not such a record.
    #[error("{} is not a record of rendered configurations; remove it to start over", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// Another version of relay wrote it.
    #[error("{} has version {found}, expected {SCHEMA_VERSION}; remove it to start over", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    schema_version: u32,
    rendered: BTreeMap<String, String>,
}

impl Rendered {
    /// Reads the record of the relay on `interface` below `state`. An absent one is empty.
    ///
    /// # Errors
    /// It exists and cannot be used.
    pub fn read(state: &Path, interface: &InterfaceName) -> Result<Self, RenderedError> {
        let path = state.join(interface.as_str()).join("rendered.json");
        let text = match read_regular(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { path, hashes: BTreeMap::new() });
            }
            Err(source) => return Err(RenderedError::Read { path, source }),
        };
        match serde_json::from_slice::<File>(&text) {
            Ok(file) if file.schema_version == SCHEMA_VERSION => {
                Ok(Self { path, hashes: file.rendered })
            }
            Ok(file) => Err(RenderedError::Version { path, found: file.schema_version }),
            Err(source) => Err(RenderedError::Content { path, source }),
        }
    }

    /// Compares `text`, rendered without a private key, with what the client was given.
    pub fn standing(&self, key: &PublicKey, text: &str) -> Standing {
        match self.hashes.get(&key.to_string()) {
            None => Standing::Never,
            Some(hash) if *hash == hash_of(text) => Standing::Current,
            Some(_) => Standing::Stale,
        }
    }

    /// Records that the client was given `text`, rendered without a private key, and forgets keys
    /// that no peer has. The file has mode 0600.
    ///
    /// # Errors
    /// It could not be written.
    pub fn note(mut self, relay: &Relay, key: &PublicKey, text: &str) -> Result<(), RenderedError> {
        let keys: HashSet<String> =
            relay.peers.iter().map(|peer| peer.public_key.to_string()).collect();
        self.hashes.retain(|known, _| keys.contains(known));
        self.hashes.insert(key.to_string(), hash_of(text));
        if let Some(directory) = self.path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(directory).map_err(|source| {
                let action = "create the directory";
                WriteError::Failed { action, path: directory.to_owned(), source }
            })?;
        }
        let file = File { schema_version: SCHEMA_VERSION, rendered: self.hashes };
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|source| RenderedError::Content { path: self.path.clone(), source })?;
        Staged::put(&self.path, &text, 0o600)?.commit()?;
        Ok(())
    }
}

/// Hashes what the client acts on: a renamed peer needs no new file.
fn hash_of(text: &str) -> String {
    let mut hash = Blake2s256::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
