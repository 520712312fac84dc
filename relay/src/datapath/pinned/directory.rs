//! The directory of pins of one interface.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{
    super::{
        DatapathError,
        link::{self, Link},
    },
    bpffs,
    declared::{COUNTERS, DROPPED, SLOTS, SPREAD},
    heritage::{self, Heritage},
    map::{Pin, PinnedMap, Words},
    version::abi_version,
};
use crate::model::Direction;

/// The network namespace of this thread, which its inode identifies as long as it exists.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Prefix of the pin of a link, before the name of its interface.
const GUARD_LINK: &str = "guard_link_";
/// What the name of the pin of a link on a transit interface begins with.
const TRANSIT_LINK: &str = "transit_link_";

/// The pins of one interface of one network namespace. Directories have mode 0700; names contain no
/// dots, which bpffs does not allow.
#[derive(Debug, Clone)]
pub struct Pins {
    bpffs: PathBuf,
    dir: PathBuf,
    version: u32,
    others: Vec<PathBuf>,
}

/// A pinned link of the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct GuardLink {
    /// Path of the pin.
    pub path: PathBuf,
    /// Interface that it was created for.
    pub interface: String,
    /// The link in the kernel; `None` if the pin is of something else.
    pub link: Option<Link>,
}

impl Pins {
    /// The pins of an interface below a BPF file system, in the network namespace of this thread.
    ///
    /// # Errors
    /// The file system is read-only, or a directory is not root's alone or cannot be read.
    pub fn open(bpffs: &Path, interface: &str) -> Result<Self, DatapathError> {
        Self::of_version(bpffs, interface, abi_version())
    }

    /// The pins of a build with another ABI version, for tests.
    ///
    /// # Errors
    /// Those of [`Pins::open`].
    pub fn of_version(bpffs: &Path, interface: &str, version: u32) -> Result<Self, DatapathError> {
        let unread = |source| DatapathError::Pin { path: NAMESPACE.into(), action: "read", source };
        let namespace = fs::metadata(NAMESPACE).map_err(unread)?.ino();
        let home = bpffs::directory(bpffs).join(interface);
        let dir = home.join(format!("v{version}-{namespace}"));
        bpffs::require_writable(bpffs)?;
        bpffs::require_own(bpffs, &dir)?;
        let others = heritage::find(&home, &dir, namespace)?;
        for other in &others {
            bpffs::require_own(bpffs, other)?;
        }
        Ok(Self { bpffs: bpffs.to_owned(), dir, version, others })
    }

    /// Fails unless there is a BPF file system to keep the pins in.
    ///
    /// # Errors
    /// There is none.
    pub fn require_bpffs(&self) -> Result<(), DatapathError> {
        bpffs::require(&self.bpffs)
    }

    /// Path of the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// ABI version of the pins.
    pub(in super::super) fn version(&self) -> u32 {
        self.version
    }

    /// Whether anything is pinned.
    pub(in super::super) fn exists(&self) -> bool {
        self.dir.exists() || !self.others.is_empty()
    }

    /// The pins of other versions, which [`Pins::make`] takes over.
    pub(in super::super) fn heritage(&self) -> Result<Vec<Heritage>, DatapathError> {
        let others = self.others.iter().filter(|other| other.exists());
        others
            .map(|other| {
                let is_count = |name: &&String| {
                    [&SLOTS, &COUNTERS, &SPREAD, &DROPPED]
                        .iter()
                        .any(|map| map.epoch(name).is_some())
                };
                let names = heritage::list(other)?;
                let mut counts = names.iter().filter(is_count);
                // A version in which the map has another name has no pin of this name.
                let has_drops = |name: &String| {
                    COUNTERS.epoch(name).is_none_or(|epoch| names.contains(&DROPPED.file(epoch)))
                };
                let counters_continue =
                    counts.all(|name| self.inherits(name, &other.join(name)) && has_drops(name));
                Ok(Heritage::new(other, counters_continue))
            })
            .collect()
    }

    /// The pin of a map: that of this version, or one of another version until it is taken over.
    pub(in super::super) fn map(&self, map: &'static PinnedMap) -> Pin {
        self.epoch_of(map, 0)
    }

    /// The pin of one epoch of a map that grows.
    pub(in super::super) fn epoch_of(&self, map: &'static PinnedMap, epoch: u32) -> Pin {
        let beside = map.beside().map(|of| self.at(&of.file(epoch)));
        map.at(self.at(&map.file(epoch)), beside)
    }

    /// The words of a map with the epochs of the counters, of the latest epoch that has one: the state
    /// is in that alone.
    ///
    /// # Errors
    /// The map cannot be opened or mapped, or has another shape.
    pub(in super::super) fn latest(
        &self,
        map: &'static PinnedMap,
    ) -> Result<Option<Words>, DatapathError> {
        for epoch in self.epochs()?.into_iter().rev() {
            if let Some(words) = self.epoch_of(map, epoch).words()? {
                return Ok(Some(words));
            }
        }
        Ok(None)
    }

    /// The pin of a hook's link: the one that runs, if another version has left one too.
    pub(in super::super) fn link(&self, direction: Direction) -> PathBuf {
        let own = self.dir.join(direction.link());
        let mut others = self.others.iter().map(|other| other.join(direction.link()));
        if is_alive(&own) {
            return own;
        }
        others.find(|path| is_alive(path)).unwrap_or(own)
    }

    /// The pin of the link of a candidate's program.
    pub(in super::super) fn trial_link(&self) -> PathBuf {
        self.dir.join("trial_link")
    }

    /// The pin of the link on a transit interface.
    pub(in super::super) fn transit_link(&self, interface: &str) -> PathBuf {
        self.dir.join(format!("{TRANSIT_LINK}{}", without_dots(interface)))
    }

    /// The pin of a new link of the guard.
    pub(in super::super) fn guard_link(&self, interface: &str) -> PathBuf {
        self.dir.join(format!("{GUARD_LINK}{}", without_dots(interface)))
    }

    /// All pinned links of the guard.
    pub(in super::super) fn guard_links(&self) -> Result<Vec<GuardLink>, DatapathError> {
        let mut found = Vec::new();
        for dir in [&self.dir].into_iter().chain(&self.others) {
            for name in heritage::list(dir)? {
                let Some(interface) = name.strip_prefix(GUARD_LINK).map(with_dots) else {
                    continue;
                };
                let path = dir.join(&name);
                let link = link::pinned(&path).map_err(failed(&path, "open"))?;
                found.push(GuardLink { path, interface, link });
            }
        }
        Ok(found)
    }

    /// The interface of the relay that has pinned a link as its guard's.
    pub(in super::super) fn guarded_by(
        &self,
        link: &Link,
    ) -> Result<Option<String>, DatapathError> {
        let all = bpffs::directory(&self.bpffs);
        for interface in heritage::list(&all)? {
            let home = all.join(&interface);
            for dir in heritage::list(&home)?.into_iter().map(|name| home.join(name)) {
                let names = heritage::list(&dir)?.into_iter();
                let mut links = names.filter(|name| name.starts_with(GUARD_LINK));
                let is_it = |name: String| {
                    link::pinned(&dir.join(name))
                        .is_ok_and(|it| it.is_some_and(|it| it.id == link.id))
                };
                if links.any(is_it) {
                    return Ok(Some(interface));
                }
            }
        }
        Ok(None)
    }

    /// The epochs of which a map is pinned, in order.
    pub(in super::super) fn epochs(&self) -> Result<BTreeSet<u32>, DatapathError> {
        let mut names = heritage::list(&self.dir)?;
        for other in &self.others {
            let found = heritage::list(other)?.into_iter();
            names.extend(found.filter(|name| self.inherits(name, &other.join(name))));
        }
        let epoch = |name: &String| COUNTERS.epoch(name).or(DROPPED.epoch(name));
        Ok(names.iter().filter_map(epoch).collect())
    }

    /// Whether a map of another version is used: if it serves, and this version has none of its own.
    /// The slots belong to the counters and are inherited with them.
    fn inherits(&self, name: &str, path: &Path) -> bool {
        let is_open = !self.dir.join(name).exists()
            && (name.starts_with("guard_") || !self.dir.join("slots").exists());
        is_open && heritage::serves(name, path)
    }

    /// Path of a map: that of another version, until it is taken over.
    fn at(&self, name: &str) -> PathBuf {
        let mut others = self.others.iter().map(|other| other.join(name));
        let inherited = others.find(|path| self.inherits(name, path));
        inherited.unwrap_or_else(|| self.dir.join(name))
    }

    /// Creates the directory, and takes over the pins of other versions. Detaches only programs that
    /// another program of ours replaces.
    pub(in super::super) fn make(&self) -> Result<(), DatapathError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(failed(&self.dir, "create"))?;
        bpffs::require_own(&self.bpffs, &self.dir)?;
        self.others.iter().try_for_each(|other| self.take_over(other))
    }

    fn take_over(&self, other: &Path) -> Result<(), DatapathError> {
        let mut names = heritage::list(other)?;
        // Slots last: until then all counters are inherited.
        names.sort_by_key(|name| name == "slots");
        for name in names {
            let (from, to) = (other.join(&name), self.dir.join(&name));
            let is_link = name.ends_with("_link")
                || [GUARD_LINK, TRANSIT_LINK].iter().any(|start| name.starts_with(start));
            let takes = match is_link {
                true => is_alive(&from) && !is_alive(&to),
                false => self.inherits(&name, &from),
            };
            match takes {
                true => fs::rename(&from, &to).map_err(failed(&from, "take over"))?,
                false => self.remove_file(&from)?,
            }
        }
        match fs::remove_dir(other) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed(other, "remove")),
        }
    }

    pub(in super::super) fn remove_file(&self, path: &Path) -> Result<(), DatapathError> {
        fs::remove_file(path).map_err(failed(path, "remove"))
    }

    /// Removes every pin and the directories that are empty then. Whether there were any.
    pub(in super::super) fn remove(&self) -> Result<bool, DatapathError> {
        let mut was_there = false;
        for dir in [&self.dir].into_iter().chain(&self.others).filter(|dir| dir.exists()) {
            for name in heritage::list(dir)? {
                self.remove_file(&dir.join(name))?;
            }
            fs::remove_dir(dir).map_err(failed(dir, "remove"))?;
            was_there = true;
        }
        // Also without pins: whoever removed those may not have come to this.
        for parent in self.dir.ancestors().skip(1).take(2) {
            match fs::remove_dir(parent) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                Err(error) => return Err(failed(parent, "remove")(error)),
            }
        }
        Ok(was_there)
    }
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> DatapathError {
    move |source| DatapathError::Pin { path: path.to_owned(), action, source }
}

/// Whether a link is pinned there and its program runs.
fn is_alive(path: &Path) -> bool {
    link::pinned(path).is_ok_and(|link| link.is_some_and(|link| link.is_alive()))
}

/// The name of an interface, which may contain dots, as a name in bpffs, which may not.
fn without_dots(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The inverse of [`without_dots`].
fn with_dots(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_become_names_without_and_back() {
        for interface in ["eth0", "eth0.100", "a%2eb", "%", "%25.%"] {
            let name = without_dots(interface);
            assert!(!name.contains('.'));
            assert_eq!(with_dots(&name), interface);
        }
    }
}
