//! A BPF file system of a test.

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A BPF file system in a directory of its own. Dropping it unmounts it, which removes what is pinned
/// there.
#[derive(Debug)]
pub struct Bpffs(TempDir);

impl Bpffs {
    /// Mounts it.
    pub fn mount() -> Result<Self> {
        let directory = TempDir::new()?;
        mount("bpf", directory.path(), "bpf", MountFlags::empty(), c"mode=0700")
            .with_context(|| format!("mount a bpffs on {}", directory.path().display()))?;
        Ok(Self(directory))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _unmounted = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}
