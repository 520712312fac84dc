//! Directories that are there as a whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A directory in which another one is made. It is beside that, and removed on drop.
pub(crate) struct Scratch {
    work: PathBuf,
    directory: PathBuf,
}

impl Scratch {
    /// # Errors
    /// It cannot be made.
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let name = directory.file_name().context("a directory without a name")?;
        let work = format!(".{}-{}", name.to_string_lossy(), std::process::id());
        let work = directory.with_file_name(work);
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        Ok(Self { work, directory: directory.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.work
    }

    /// Moves what was made, of this name inside, to its place.
    ///
    /// # Errors
    /// It cannot be moved.
    pub(crate) fn finish(self, ready: &str) -> Result<()> {
        match fs::rename(self.work.join(ready), &self.directory) {
            // Another run was faster, with the same result.
            Err(_) if self.directory.is_dir() => Ok(()),
            outcome => outcome.with_context(|| format!("cannot make {}", self.directory.display())),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory that stays does no harm: the next run uses another one.
        let _ = fs::remove_dir_all(&self.work);
    }
}
