//! Which interfaces are relay's, as the kernel tells: by the alias that `up` sets, and by relay's
//! programs on them. No file is read.

use std::{
    fs, io,
    path::{self, Path, PathBuf},
};

use super::{
    Classified, Error, ErrorContext as _, Kind, Result,
    mesh::transit::{SeenTransit, transits},
    observe,
};
use crate::{
    config::MeshKey,
    datapath::{Datapath, Hook},
    model::{InterfaceName, PublicKey, Relay},
    net::{
        Handle, NetError, fence,
        link::{self, Link},
    },
    wireguard::Device,
};

/// What an alias begins with.
const MARK: &str = "relay";

/// IFALIASZ of linux/if.h, less the terminating zero.
const ALIAS_LEN_MAX: usize = 255;

/// The interface belongs to something else.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    /// `up` would replace somebody else's configuration.
    #[error(
        "interface {interface} exists: found {found}, expected no interface or one created by `relay \
         up`; `relay up --adopt` replaces its key and peers with those of the configuration, or \
         choose another interface name"
    )]
    Foreign {
        /// The interface.
        interface: InterfaceName,
        /// What WireGuard has there.
        found: String,
    },
    /// `down` would delete an interface that `up` has not created.
    #[error(
        "interface {interface}: found neither relay's alias nor its programs, expected an interface \
         that `relay up` created or adopted; nothing is changed. If it is not needed, remove it with \
         `ip link delete {interface}`, then run `relay down --interface {interface}` for what is \
         left of a relay of that name"
    )]
    NotARelay {
        /// The interface.
        interface: InterfaceName,
    },
}

impl Classified for ClaimError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// The alias of the interface that a configuration is brought up on.
pub(super) fn mark(config: &Path) -> String {
    let mark = format!("{MARK} {}", lasting(config).display());
    if mark.len() <= ALIAS_LEN_MAX { mark } else { MARK.to_owned() }
}

/// The configuration that an alias names, if it names one.
pub(super) fn named(alias: &str) -> Option<PathBuf> {
    let path = alias.strip_prefix(MARK)?.strip_prefix(' ')?;
    path.starts_with('/').then(|| path.into())
}

/// Whether `up` has created or adopted an interface.
pub(super) fn is_ours(link: &Link, hooks: &[Hook; 2]) -> bool {
    link.alias.as_deref().is_some_and(is_mark)
        || hooks.iter().any(|hook| hook.mode.is_some() || !hook.stale.is_empty())
}

/// Checks that `up` takes over nobody else's interface: one that exists is relay's, has the key of
/// the configuration already, or has neither key nor peers.
///
/// # Errors
/// It is somebody else's.
pub(super) fn require_consent(
    interface: &InterfaceName,
    link: Option<&Link>,
    hooks: &[Hook; 2],
    device: Option<&Device>,
    key: Option<PublicKey>,
) -> Result<(), ClaimError> {
    match (link, device) {
        (Some(link), Some(device)) if !is_ours(link, hooks) => {
            blank_or_keyed(interface, device, key)
        }
        _ => Ok(()),
    }
}

/// Checks the same of the interfaces of tunnels to other relays. `key` is this relay's there.
///
/// # Errors
/// One of them is somebody else's.
pub(super) fn require_consent_for_transits(
    relay: &Relay,
    key: Option<&MeshKey>,
    seen: &[SeenTransit],
) -> Result<(), ClaimError> {
    let wanted = transits(relay, key);
    let key = key.map(|key| key.private_key.public_key());
    let is_wanted = |seen: &&SeenTransit| wanted.iter().any(|it| it.interface == seen.interface);
    let mut foreign = seen.iter().filter(is_wanted).filter(|seen| !seen.is_ours(&relay.interface));
    foreign.try_for_each(|seen| blank_or_keyed(&seen.interface, &seen.device, key))
}

/// Checks that an interface that is not relay's has the key of the configuration already, or neither key
/// nor peers.
///
/// # Errors
/// It is somebody else's.
fn blank_or_keyed(
    interface: &InterfaceName,
    device: &Device,
    key: Option<PublicKey>,
) -> Result<(), ClaimError> {
    let is_blank = device.public_key.is_none() && device.peers.is_empty();
    let has_key = device.public_key.is_some() && device.public_key == key;
    if is_blank || has_key {
        return Ok(());
    }
    let key = device.public_key.map_or("no key".to_owned(), |key| format!("public key {key}"));
    let found = format!("{key} and {} peers", device.peers.len());
    Err(ClaimError::Foreign { interface: interface.clone(), found })
}

/// Checks that an interface is relay's.
///
/// # Errors
/// It is not, or the kernel does not answer.
pub(super) async fn require(
    handle: &Handle,
    interface: &InterfaceName,
    link: &Link,
    datapath: &Datapath,
) -> Result<()> {
    if link.alias.as_deref().is_some_and(is_mark)
        || is_ours(link, &observe::hooks(handle, interface, datapath).await?)
    {
        return Ok(());
    }
    Err(ClaimError::NotARelay { interface: interface.clone() }.into())
}

/// The interfaces that `config` was brought up on, whether or not the file still exists.
///
/// # Errors
/// The kernel does not answer.
pub(super) async fn of(handle: &Handle, config: &Path) -> Result<Vec<InterfaceName>> {
    let mark = mark(config);
    let links = link::wireguards(handle).await?.into_iter();
    // A mark without a file name belongs to no file in particular.
    let links = links.filter(|(_, alias)| alias.as_ref() == Some(&mark) && mark != MARK);
    Ok(links.map(|(interface, _)| interface).collect())
}

/// Every interface that has a relay or remains of one.
///
/// # Errors
/// The kernel does not answer, or the pins cannot be listed.
pub(super) async fn all(handle: &Handle, bpffs: &Path) -> Result<Vec<InterfaceName>> {
    let mut found = Vec::new();
    for (interface, alias) in link::wireguards(handle).await? {
        let has_program = async || {
            let datapath = Datapath::open(bpffs, interface.as_str())?;
            let hooks = observe::hooks(handle, &interface, &datapath).await?;
            Ok::<_, Error>(hooks.iter().any(|hook| hook.mode.is_some() || !hook.stale.is_empty()))
        };
        if alias.as_deref().is_some_and(is_mark) || has_program().await? {
            found.push(interface);
        }
    }
    for interface in pinned(bpffs)? {
        if Datapath::open(bpffs, interface.as_str())?.exists() {
            found.push(interface);
        }
    }
    match fence::fenced() {
        Ok(fenced) => found.extend(fenced),
        Err(NetError::NetfilterMissing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    found.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    found.dedup();
    Ok(found)
}

/// The interfaces that something is pinned for.
fn pinned(bpffs: &Path) -> Result<Vec<InterfaceName>> {
    let directory = bpffs.join("relay");
    let failed = || format!("list {}", directory.display());
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(failed)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().parse().ok()));
    let names: io::Result<Vec<Option<InterfaceName>>> = names.collect();
    Ok(names.with_context(failed)?.into_iter().flatten().collect())
}

/// An alias that somebody else set may begin with the word, but not with the word and a path.
fn is_mark(alias: &str) -> bool {
    alias == MARK || alias.strip_prefix(MARK).is_some_and(|rest| rest.starts_with(" /"))
}

/// The path of a file with the links in its directory resolved, which does not need the file.
fn lasting(config: &Path) -> PathBuf {
    let path = path::absolute(config).unwrap_or_else(|_unknown| config.to_owned());
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mark_names_the_file_also_when_it_is_gone() {
        let there = tempfile::tempdir().expect("a directory");
        let directory = fs::canonicalize(there.path()).expect("a path");
        symlink(&directory, there.path().join("link")).expect("a link");
        let config = there.path().join("link/relay.toml");
        let expected = format!("relay {}/relay.toml", directory.display());
        assert_eq!(mark(&config), expected);
        fs::write(&config, "").expect("written");
        assert_eq!(mark(&config), expected);
        assert_eq!(mark(Path::new("/nowhere/at/all.toml")), "relay /nowhere/at/all.toml");
        assert_eq!(mark(Path::new(&format!("/{}.toml", "a".repeat(300)))), MARK);
    }

    #[test]
    fn a_mark_is_read_as_the_file() {
        assert_eq!(named("relay /etc/relay/relay.toml"), Some("/etc/relay/relay.toml".into()));
        assert_eq!((named("relay"), named("relay to Berlin"), named("wg /x")), (None, None, None));
    }

    #[test]
    fn an_alias_of_somebodys_own_is_no_mark() {
        assert!(is_mark("relay /etc/relay/relay.toml"));
        assert!(is_mark("relay"));
        for alias in ["", "relay to Berlin", "relayed", "wg /etc/relay/relay.toml"] {
            assert!(!is_mark(alias), "{alias}");
        }
    }
}
