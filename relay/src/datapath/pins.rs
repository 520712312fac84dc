//! Where everything that outlives the command is kept:
//! `<bpffs>/relay/<interface>/v<ABI>-<network namespace>/`.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use relay_common::names::ABI_VERSION;

use super::{
    DatapathError, Direction, bpffs,
    heritage::{self, Heritage},
    link::{self, Link},
};

/// The network namespace of this thread. Its inode is no other's for as long as it lives.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// What precedes an interface in the name of its link.
const GUARD_LINK: &str = "guard_link_";

/// The pins of one interface of one network namespace. Directories are 0700; names hold no dots,
/// which bpffs refuses.
#[derive(Debug, Clone)]
pub struct Pins {
    bpffs: PathBuf,
    dir: PathBuf,
    version: u32,
    others: Vec<PathBuf>,
}

/// A link of the guard that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuardLink {
    /// Its pin.
    pub path: PathBuf,
    /// The interface that it was made for.
    pub interface: String,
    /// What the kernel says of it; none of a pin that is no such link.
    pub link: Option<Link>,
}

impl Pins {
    /// The pins of an interface below a BPF file system, in the network namespace of this thread.
    ///
    /// # Errors
    /// Others than root can have put something there, or it cannot be read.
    pub fn open(bpffs: &Path, interface: &str) -> Result<Self, DatapathError> {
        Self::of_version(bpffs, interface, ABI_VERSION)
    }

    /// The pins that a build with another [`ABI_VERSION`] makes, for tests of one that follows it.
    ///
    /// # Errors
    /// Those of [`Pins::open`].
    pub fn of_version(bpffs: &Path, interface: &str, version: u32) -> Result<Self, DatapathError> {
        let unread = |source| DatapathError::Pin { path: NAMESPACE.into(), action: "read", source };
        let namespace = fs::metadata(NAMESPACE).map_err(unread)?.ino();
        let home = bpffs::directory(bpffs).join(interface);
        let dir = home.join(format!("v{version}-{namespace}"));
        bpffs::require_own(bpffs, &dir)?;
        let others = heritage::find(&home, &dir, namespace)?;
        for other in &others {
            bpffs::require_own(bpffs, other)?;
        }
        Ok(Self { bpffs: bpffs.to_owned(), dir, version, others })
    }

    /// That there is a BPF file system to keep them in.
    ///
    /// # Errors
    /// There is none.
    pub fn require_bpffs(&self) -> Result<(), DatapathError> {
        bpffs::require(&self.bpffs)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The version whose pins they are.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Whether anything is pinned.
    pub(super) fn exists(&self) -> bool {
        self.dir.exists() || !self.others.is_empty()
    }

    /// What other versions have pinned, which [`Pins::make`] takes over.
    pub(super) fn heritage(&self) -> Result<Vec<Heritage>, DatapathError> {
        let others = self.others.iter().filter(|other| other.exists());
        others.map(|other| Heritage::of(self, other)).collect()
    }

    pub(super) fn slots(&self) -> PathBuf {
        self.at("slots")
    }

    /// Counters of an epoch: when peers outgrow one, the next is added, and all are summed.
    pub(super) fn counters(&self, epoch: u32) -> PathBuf {
        self.at(&format!("counters_{epoch}"))
    }

    pub(super) fn refused(&self, epoch: u32) -> PathBuf {
        self.at(&format!("refused_{epoch}"))
    }

    pub(super) fn events(&self) -> PathBuf {
        self.at("events")
    }

    pub(super) fn event_count(&self) -> PathBuf {
        self.at("event_count")
    }

    pub(super) fn pairs(&self) -> PathBuf {
        self.at("pairs")
    }

    /// The link of a hook: the one that runs, if another version has left one beside it.
    pub(super) fn link(&self, direction: Direction) -> PathBuf {
        let own = self.dir.join(direction.link());
        let mut others = self.others.iter().map(|other| other.join(direction.link()));
        if is_alive(&own) {
            return own;
        }
        others.find(|path| is_alive(path)).unwrap_or(own)
    }

    pub(super) fn guard_counts(&self) -> PathBuf {
        self.at("guard_counts")
    }

    pub(super) fn guard_sources(&self) -> PathBuf {
        self.at("guard_sources")
    }

    pub(super) fn guard_flows(&self) -> PathBuf {
        self.at("guard_flows")
    }

    pub(super) fn guard_attempts(&self) -> PathBuf {
        self.at("guard_attempts")
    }

    /// Where a new link of the guard is pinned.
    pub(super) fn guard_link(&self, interface: &str) -> PathBuf {
        self.dir.join(format!("{GUARD_LINK}{}", without_dots(interface)))
    }

    /// The links of the guard that are pinned.
    pub(super) fn guard_links(&self) -> Result<Vec<GuardLink>, DatapathError> {
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

    /// The interface of the relay whose guard a link is, whichever relay has pinned it.
    pub(super) fn guarded_by(&self, link: &Link) -> Result<Option<String>, DatapathError> {
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

    /// The numbers of the epochs of which a map is pinned, in order.
    pub(super) fn epochs(&self) -> Result<BTreeSet<u32>, DatapathError> {
        let mut names = heritage::list(&self.dir)?;
        for other in &self.others {
            let found = heritage::list(other)?.into_iter();
            names.extend(found.filter(|name| self.inherits(name, &other.join(name))));
        }
        let numbers = names.iter().filter_map(|name| {
            let number = name.strip_prefix("counters_").or(name.strip_prefix("refused_"))?;
            number.parse().ok()
        });
        Ok(numbers.collect())
    }

    /// Whether a map of another version takes this place: if it serves, and this version has not
    /// begun its own. Which slot is whose goes with what is counted in it.
    pub(super) fn inherits(&self, name: &str, path: &Path) -> bool {
        let is_open = !self.dir.join(name).exists()
            && (name.starts_with("guard_") || !self.dir.join("slots").exists());
        is_open && heritage::serves(name, path)
    }

    /// Where a map is: among what another version left, until that is taken over.
    fn at(&self, name: &str) -> PathBuf {
        let mut others = self.others.iter().map(|other| other.join(name));
        let inherited = others.find(|path| self.inherits(name, path));
        inherited.unwrap_or_else(|| self.dir.join(name))
    }

    /// Makes the directory, and takes over what other versions have pinned. No program is detached
    /// by it but one that another of ours stands in for.
    pub(super) fn make(&self) -> Result<(), DatapathError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(failed(&self.dir, "create"))?;
        bpffs::require_own(&self.bpffs, &self.dir)?;
        self.others.iter().try_for_each(|other| self.take_over(other))
    }

    fn take_over(&self, other: &Path) -> Result<(), DatapathError> {
        let mut names = heritage::list(other)?;
        // Last, since with them goes what is counted.
        names.sort_by_key(|name| name == "slots");
        for name in names {
            let (from, to) = (other.join(&name), self.dir.join(&name));
            let is_link = name.ends_with("_link") || name.starts_with(GUARD_LINK);
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

    pub(super) fn remove_file(&self, path: &Path) -> Result<(), DatapathError> {
        fs::remove_file(path).map_err(failed(path, "remove"))
    }

    /// Removes every file and the directories that are empty then; tells whether there were any.
    pub(super) fn remove(&self) -> Result<bool, DatapathError> {
        let mut was_there = false;
        for dir in [&self.dir].into_iter().chain(&self.others).filter(|dir| dir.exists()) {
            for name in heritage::list(dir)? {
                self.remove_file(&dir.join(name))?;
            }
            fs::remove_dir(dir).map_err(failed(dir, "remove"))?;
            was_there = true;
        }
        let parents = self.dir.ancestors().skip(1).take(2).filter(|_| was_there);
        for parent in parents {
            match fs::remove_dir(parent) {
                Ok(()) => {}
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

/// Whether a link is pinned there whose program runs.
fn is_alive(path: &Path) -> bool {
    link::pinned(path).is_ok_and(|link| link.is_some_and(|link| link.is_alive()))
}

/// The name of an interface, which may hold dots, as a name in bpffs, which may not.
fn without_dots(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The other way.
fn with_dots(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_with_dots_have_names_without() {
        for interface in ["eth0", "eth0.100", "a%2eb", "%", "%25.%"] {
            let name = without_dots(interface);
            assert!(!name.contains('.'));
            assert_eq!(with_dots(&name), interface);
        }
    }
}
