use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::staged::{Staged, WriteError, clean, failed, remove};

/// Of a file whose main file's mode cannot be read, which reading it has reported.
const FRAGMENT_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A change of one file that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    pub(super) path: PathBuf,
    /// Its text now; `None` when it is not there.
    pub(super) before: Option<String>,
    /// Its text then; `None` when it goes.
    pub(super) after: Option<String>,
    pub(super) main: PathBuf,
}

impl Edit {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file stays as it is.
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Renders the lines that go and those that come.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn render_into(&self, out: &mut impl Write) -> io::Result<()> {
        let lines = |text: &Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
        };
        let (before, after) = (lines(&self.before), lines(&self.after));
        let pairs = before.iter().zip(&after);
        let start = pairs.take_while(|(one, other)| one == other).count();
        let pairs = before[start..].iter().rev().zip(after[start..].iter().rev());
        let end = pairs.take_while(|(one, other)| one == other).count();
        let verb = match (&self.before, &self.after) {
            (None, _) => "new file",
            (Some(_), None) => "remove",
            (Some(_), Some(_)) => "change",
        };
        writeln!(out, "{verb} {}", self.path.display())?;
        for line in &before[start..before.len() - end] {
            writeln!(out, "- {line}")?;
        }
        for line in &after[start..after.len() - end] {
            writeln!(out, "+ {line}")?;
        }
        Ok(())
    }

    /// Writes the change beside the file.
    ///
    /// # Errors
    /// It could not be written; nothing is changed.
    pub fn stage(&self) -> Result<StagedEdit<'_>, WriteError> {
        // The other places that changes go to; its own is cleaned anyway.
        let fragments = self.main.with_extension("d");
        for directory in [self.main.parent(), Some(fragments.as_path())].into_iter().flatten() {
            clean(directory);
        }
        let staged = match (&self.before, &self.after) {
            (_, None) => None,
            (Some(_), Some(after)) => Some(Staged::replace(&self.path, after.as_bytes())?),
            (None, Some(after)) => {
                // A fragment is as open as the main file, and its directory as that one's.
                let main = fs::metadata(&self.main).map(|main| main.mode() & 0o777);
                let directory = self.main.parent().filter(|parent| *parent != Path::new(""));
                let directory = fs::metadata(directory.unwrap_or(Path::new(".")));
                let directory = directory.map(|directory| directory.mode() & 0o777);
                Some(Staged::create(
                    &self.path,
                    after.as_bytes(),
                    main.unwrap_or(FRAGMENT_MODE),
                    directory.unwrap_or(DIRECTORY_MODE),
                )?)
            }
        };
        Ok(StagedEdit { edit: self, staged })
    }
}

/// An [`Edit`] that only needs to be put in its place.
#[derive(Debug)]
pub struct StagedEdit<'e> {
    edit: &'e Edit,
    staged: Option<Staged>,
}

impl StagedEdit<'_> {
    /// Puts the change in its place.
    ///
    /// # Errors
    /// The file is no longer what was read, or the system refused.
    pub fn commit(self) -> Result<(), WriteError> {
        let Edit { path, before, .. } = self.edit;
        if let Some(before) = before {
            let now = fs::read(path).map_err(failed("read", path))?;
            if now != before.as_bytes() {
                return Err(WriteError::Changed(path.clone()));
            }
        }
        match self.staged {
            Some(staged) => staged.commit(),
            None => remove(path),
        }
    }
}
