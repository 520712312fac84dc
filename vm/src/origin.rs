//! Where the guest's programs come from.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::apt::Archive;
use crate::progress::Step;
use crate::{Architecture, libraries, process, workspace};

/// A system with programs, their libraries, and the files that they read.
pub(crate) enum Origin {
    /// This machine.
    Host,
    /// Debian's packages for another architecture, unpacked in this directory of the cache.
    Packages(PathBuf),
}

impl Origin {
    /// Downloads these packages, if this machine does not run the architecture's programs and the
    /// cache does not hold them.
    ///
    /// # Errors
    /// The archive cannot be reached, or the cache cannot be written.
    pub(crate) fn of(architecture: Architecture, packages: &[&str]) -> Result<Self> {
        if architecture.is_own() {
            return Ok(Self::Host);
        }
        let mut hasher = DefaultHasher::new();
        packages.hash(&mut hasher);
        let name = format!("guest-{architecture}-{:08x}", hasher.finish() & 0xffff_ffff);
        let root = workspace::cache()?.join(name);
        if !root.is_dir() {
            let step = Step::start(format!("vm: fetching Debian's tools for {architecture}"));
            Archive::bookworm(architecture)?.unpack(packages, &root)?;
            step.finish("ready");
        }
        Ok(Self::Packages(root))
    }

    /// The file of this program.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        match self {
            Self::Host => process::find(program),
            Self::Packages(root) => ["usr/sbin", "usr/bin", "sbin", "bin"]
                .iter()
                .map(|directory| root.join(directory).join(program))
                // An absolute link, such as /sbin/ip, leads to this machine's file.
                .filter(|file| file.read_link().map_or(true, |target| target.is_relative()))
                .find(|file| file.is_file()),
        }
    }

    /// The file that is at this absolute path in the system.
    pub(crate) fn file(&self, path: &Path) -> PathBuf {
        match self {
            Self::Host => path.to_owned(),
            Self::Packages(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    /// The libraries that the programs load, and the loader, each with its path in the system.
    ///
    /// # Errors
    /// A program cannot be read, or a library is not there.
    pub(crate) fn libraries(&self, programs: &[PathBuf]) -> Result<Vec<(PathBuf, String)>> {
        let libraries = match self {
            Self::Host => libraries::of(programs)?,
            Self::Packages(root) => libraries::below(root, programs)?,
        };
        Ok(libraries
            .into_iter()
            .map(|path| (self.file(&path), path.to_string_lossy().into_owned()))
            .collect())
    }
}
