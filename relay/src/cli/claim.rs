//! Which interfaces are relay's, by what the kernel keeps: the alias that `up` gives, and programs
//! that are attached. No file is asked.

use std::{
    fs, io,
    path::{self, Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::running;
use crate::{
    datapath::{Datapath, Hook},
    model::{InterfaceName, PublicKey},
    net::{
        Handle, NetError, fence,
        link::{self, Link},
    },
    wireguard::Device,
};

/// What an alias begins with.
const MARK: &str = "relay";

/// IFALIASZ of linux/if.h, less the end of the string.
const ALIAS_LEN_MAX: usize = 255;

/// An interface that relay leaves alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error(
        "interface {interface} is there already: found {found}, expected none or one that \
         `relay up` has made; `relay up --adopt` gives it the configuration's key and peers in the \
         place of its own, or choose another interface"
    )]
    Foreign { interface: InterfaceName, found: String },
    #[error(
        "interface {interface}: found no mark and no program of relay's on it, expected one that \
         `relay up` has made or adopted; it is left alone. Where it is not needed, remove it with \
         `ip link delete {interface}`, and run `relay down --interface {interface}` for what is left \
         of a relay of that name"
    )]
    NotARelay { interface: InterfaceName },
}

/// The alias of the interface that a configuration is brought up on.
pub(super) fn mark(config: &Path) -> String {
    let mark = format!("{MARK} {}", lasting(config).display());
    if mark.len() <= ALIAS_LEN_MAX { mark } else { MARK.to_owned() }
}

/// Whether `up` has made or adopted an interface.
pub(super) fn is_ours(link: &Link, hooks: &[Hook; 2]) -> bool {
    link.alias.as_deref().is_some_and(is_mark)
        || hooks.iter().any(|hook| hook.mode.is_some() || !hook.twins.is_empty())
}

/// That nobody else's interface is taken over: one that is there is relay's, has the key of the
/// configuration already, or has neither key nor peers.
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
    let (Some(link), Some(device)) = (link, device) else { return Ok(()) };
    let is_blank = device.public_key.is_none() && device.peers.is_empty();
    let has_key = device.public_key.is_some() && device.public_key == key;
    if is_ours(link, hooks) || is_blank || has_key {
        return Ok(());
    }
    let key = device.public_key.map_or("no key".to_owned(), |key| format!("public key {key}"));
    let found = format!("{key} and {} peers", device.peers.len());
    Err(ClaimError::Foreign { interface: interface.clone(), found })
}

/// That an interface is relay's.
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
        || is_ours(link, &running::hooks(handle, interface, datapath).await?)
    {
        return Ok(());
    }
    Err(ClaimError::NotARelay { interface: interface.clone() }.into())
}

/// The interfaces that `config` was brought up on, whether or not the file is there.
pub(super) async fn of(handle: &Handle, config: &Path) -> Result<Vec<InterfaceName>> {
    let mark = mark(config);
    let links = link::wireguards(handle).await?.into_iter();
    // Without a file's name it is nobody's in particular.
    let links = links.filter(|(_, alias)| alias.as_ref() == Some(&mark) && mark != MARK);
    Ok(links.map(|(interface, _)| interface).collect())
}

/// Every interface that there is a relay on, or something left of one.
pub(super) async fn all(handle: &Handle, bpffs: &Path) -> Result<Vec<InterfaceName>> {
    let mut found = Vec::new();
    for (interface, alias) in link::wireguards(handle).await? {
        let has_program = async || {
            let datapath = datapath(bpffs, &interface)?;
            let hooks = running::hooks(handle, &interface, &datapath).await?;
            anyhow::Ok(hooks.iter().any(|hook| hook.mode.is_some() || !hook.twins.is_empty()))
        };
        if alias.as_deref().is_some_and(is_mark) || has_program().await? {
            found.push(interface);
        }
    }
    for interface in pinned(bpffs)? {
        if datapath(bpffs, &interface)?.exists() {
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

/// The datapath of an interface.
fn datapath(bpffs: &Path, interface: &InterfaceName) -> Result<Datapath> {
    Ok(Datapath::open(bpffs, interface.as_str())?)
}

/// The names that something is pinned under.
fn pinned(bpffs: &Path) -> Result<Vec<InterfaceName>> {
    let directory = bpffs.join("relay");
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", directory.display()))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().parse().ok()));
    let names: io::Result<Vec<Option<InterfaceName>>> = names.collect();
    let names = names.with_context(|| format!("list {}", directory.display()))?;
    Ok(names.into_iter().flatten().collect())
}

/// Aliases of people's own need not begin with a path.
fn is_mark(alias: &str) -> bool {
    alias == MARK || alias.strip_prefix(MARK).is_some_and(|rest| rest.starts_with(" /"))
}

/// The path by which a file is known also when it is gone: no link on the way to it is left.
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
    fn an_alias_of_somebodys_own_is_no_mark() {
        assert!(is_mark("relay /etc/relay/relay.toml"));
        assert!(is_mark("relay"));
        for alias in ["", "relay to Berlin", "relayed", "wg /etc/relay/relay.toml"] {
            assert!(!is_mark(alias), "{alias}");
        }
    }
}
