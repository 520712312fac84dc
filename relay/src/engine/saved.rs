//! What peers had used of their quotas when that was saved last, so that it outlives `relay down` and
//! a reboot. `up` takes it where the kernel has nothing that tells.

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use relay_common::meter::Used;
use serde::{Deserialize, Serialize};

use super::{Classified, ErrorContext as _, Result};
use crate::{
    config::{Staged, read_regular},
    model::{InterfaceName, PublicKey},
};

/// Version of the file.
const SCHEMA_VERSION: u32 = 1;

/// What is there is no such file.
#[derive(Debug, thiserror::Error)]
#[error("{} holds no readable record of quotas, so they start at zero; `relay quota --save` and \
    `relay down` replace it", .path.display())]
struct NoQuotas {
    path: PathBuf,
}

impl Classified for NoQuotas {}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    schema_version: u32,
    peers: Vec<Peer>,
}

/// What one peer has used.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Peer {
    public_key: String,
    /// The day of it, since 1970-01-01.
    day: u64,
    from_bytes: u64,
    to_bytes: u64,
}

/// Saves what peers have used, in a file of mode 0600 in the directory of the interface below `state`.
/// How many of them have used anything.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(
    state: &Path,
    interface: &InterfaceName,
    used: &BTreeMap<PublicKey, Used>,
) -> Result<usize> {
    let path = file(state, interface);
    let failed = || format!("write {}", path.display());
    let peers: Vec<_> = used
        .iter()
        .filter(|(_, used)| used.used_from > 0 || used.used_to > 0)
        .map(|(key, used)| Peer {
            public_key: key.to_string(),
            day: used.day,
            from_bytes: used.used_from,
            to_bytes: used.used_to,
        })
        .collect();
    let count = peers.len();
    let text = serde_json::to_vec_pretty(&File { schema_version: SCHEMA_VERSION, peers });
    let text = text.map_err(io::Error::other).with_context(failed)?;
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.with_context(failed)?;
    }
    Staged::put(&path, &text, 0o600)?.commit()?;
    Ok(count)
}

/// What is saved; nothing if nothing was.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(state: &Path, interface: &InterfaceName) -> Result<BTreeMap<PublicKey, Used>> {
    let path = file(state, interface);
    let text = match read_regular(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        read => read.with_context(|| format!("read {}", path.display()))?,
    };
    let saved = serde_json::from_slice::<File>(&text).ok();
    let saved = saved.filter(|file| file.schema_version == SCHEMA_VERSION);
    let peers = saved.and_then(|file| file.peers.into_iter().map(Peer::used).collect());
    Ok(peers.ok_or(NoQuotas { path })?)
}

fn file(state: &Path, interface: &InterfaceName) -> PathBuf {
    state.join(interface.as_str()).join("quotas.json")
}

impl Peer {
    fn used(self) -> Option<(PublicKey, Used)> {
        let Self { public_key, day, from_bytes, to_bytes } = self;
        let used = Used { day, used_from: from_bytes, used_to: to_bytes, ..Used::default() };
        Some((public_key.parse().ok()?, used))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_was_saved_is_read_and_what_is_torn_is_an_error() {
        let there = tempfile::tempdir().expect("a directory");
        let interface = "relay0".parse().expect("a name");
        assert_eq!(read(there.path(), &interface).expect("nothing there"), BTreeMap::new());
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let used = Used { day: 20_783, used_from: 5, used_to: u64::MAX, ..Used::default() };
        let all = BTreeMap::from([(key(1), used), (key(2), Used { from: 7, ..Used::default() })]);
        assert_eq!(write(there.path(), &interface, &all).expect("written"), 1);
        let again = read(there.path(), &interface).expect("readable");
        assert_eq!(again, BTreeMap::from([(key(1), used)]));
        let path = file(there.path(), &interface);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for torn in ["", "{}", "{\"schemaVersion\": 2, \"peers\": []}"] {
            fs::write(&path, torn).expect("written");
            let error = read(there.path(), &interface).expect_err("torn");
            assert!(error.to_string().contains("quotas.json holds no readable record"), "{error}");
        }
    }
}
