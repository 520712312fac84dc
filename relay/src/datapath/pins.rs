//! Where everything that outlives the command is kept: `<bpffs>/relay/<interface>/v<ABI>/`.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use relay_common::names::ABI_VERSION;

use super::{DatapathError, Direction};

/// `f_type` of a BPF file system (`BPF_FS_MAGIC`, include/uapi/linux/magic.h).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// What precedes an interface in the name of its link.
const GUARD_LINK: &str = "guard_link_";

/// The pins of one interface. Directories are 0700; names hold no dots, which bpffs refuses.
#[derive(Debug, Clone)]
pub struct Pins {
    bpffs: PathBuf,
    dir: PathBuf,
}

impl Pins {
    /// The pins of an interface below a BPF file system.
    pub fn new(bpffs: &Path, interface: &str) -> Self {
        let version = format!("v{ABI_VERSION}");
        Self { bpffs: bpffs.to_owned(), dir: bpffs.join("relay").join(interface).join(version) }
    }

    /// That there is a BPF file system to keep them in.
    ///
    /// # Errors
    /// There is none.
    pub fn require_bpffs(&self) -> Result<(), DatapathError> {
        let found = rustix::fs::statfs(&self.bpffs).ok();
        match found.and_then(|found| u64::try_from(found.f_type).ok()) {
            Some(BPF_FS_MAGIC) => Ok(()),
            Some(_) | None => Err(DatapathError::NoBpffs(self.bpffs.clone())),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn slots(&self) -> PathBuf {
        self.dir.join("slots")
    }

    /// Counters of an epoch: when peers outgrow one, the next is added, and all are summed.
    pub(super) fn counters(&self, epoch: u32) -> PathBuf {
        self.dir.join(format!("counters_{epoch}"))
    }

    pub(super) fn refused(&self, epoch: u32) -> PathBuf {
        self.dir.join(format!("refused_{epoch}"))
    }

    pub(super) fn events(&self) -> PathBuf {
        self.dir.join("events")
    }

    pub(super) fn event_count(&self) -> PathBuf {
        self.dir.join("event_count")
    }

    pub(super) fn pairs(&self) -> PathBuf {
        self.dir.join("pairs")
    }

    pub(super) fn link(&self, direction: Direction) -> PathBuf {
        self.dir.join(format!("{}_link", direction.label()))
    }

    pub(super) fn guard_counts(&self) -> PathBuf {
        self.dir.join("guard_counts")
    }

    pub(super) fn guard_sources(&self) -> PathBuf {
        self.dir.join("guard_sources")
    }

    pub(super) fn guard_flows(&self) -> PathBuf {
        self.dir.join("guard_flows")
    }

    pub(super) fn guard_attempts(&self) -> PathBuf {
        self.dir.join("guard_attempts")
    }

    pub(super) fn guard_link(&self, interface: &str) -> PathBuf {
        self.dir.join(format!("{GUARD_LINK}{}", without_dots(interface)))
    }

    /// The interfaces for which a link of the guard is pinned.
    pub(super) fn guarded(&self) -> Result<BTreeSet<String>, DatapathError> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(GUARD_LINK)).map(with_dots).collect())
    }

    /// The numbers of the epochs of which a map is pinned, in order.
    pub(super) fn epochs(&self) -> Result<BTreeSet<u32>, DatapathError> {
        let names = self.names()?;
        let numbers = names.iter().filter_map(|name| {
            let number = name.strip_prefix("counters_").or(name.strip_prefix("refused_"))?;
            number.parse().ok()
        });
        Ok(numbers.collect())
    }

    /// The names in the directory; none when it is not there.
    fn names(&self) -> Result<Vec<String>, DatapathError> {
        let failed = |source| DatapathError::Pin { path: self.dir.clone(), action: "list", source };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map_err(failed)
    }

    pub(super) fn make(&self) -> Result<(), DatapathError> {
        let failed =
            |source| DatapathError::Pin { path: self.dir.clone(), action: "create", source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        let relay =
            self.dir.ancestors().nth(2).ok_or_else(|| failed(io::Error::other("no parent")))?;
        fs::set_permissions(relay, fs::Permissions::from_mode(0o700)).map_err(failed)
    }

    pub(super) fn remove_file(&self, path: &Path) -> Result<(), DatapathError> {
        let failed =
            |source| DatapathError::Pin { path: path.to_owned(), action: "remove", source };
        fs::remove_file(path).map_err(failed)
    }

    /// Removes every file and the directories that are empty then; tells whether there were any.
    pub(super) fn remove(&self) -> Result<bool, DatapathError> {
        let failed = |path: &Path, source| DatapathError::Pin {
            path: path.to_owned(),
            action: "remove",
            source,
        };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(|error| failed(&self.dir, error))?,
        };
        for entry in entries {
            let path = entry.map_err(|error| failed(&self.dir, error))?.path();
            self.remove_file(&path)?;
        }
        fs::remove_dir(&self.dir).map_err(|error| failed(&self.dir, error))?;
        for parent in self.dir.ancestors().skip(1).take(2) {
            match fs::remove_dir(parent) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                Err(error) => return Err(failed(parent, error)),
            }
        }
        Ok(true)
    }
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
