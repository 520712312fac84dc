use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::staged::{Staged, WriteError, clean, failed, remove};

/// Mode of a new fragment if the main file's mode is unknown.
const FRAGMENT_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// An unwritten change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub(super) path: PathBuf,
    /// The present text; `None` if the file does not exist.
    pub(super) before: Option<String>,
    /// The new text; `None` if the file goes.
    pub(super) after: Option<String>,
    pub(super) main: PathBuf,
}

impl Edit {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Renders removed and added lines.
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

    /// Writes the new text beside the file.
    ///
    /// # Errors
    /// It could not be written; nothing has changed.
    pub fn stage(&self) -> Result<StagedEdit<'_>, WriteError> {
        // The directory of the file itself is cleaned by `Staged`.
        let fragments = self.main.with_extension("d");
        for directory in [self.main.parent(), Some(fragments.as_path())].into_iter().flatten() {
            clean(directory);
        }
        let staged = match (&self.before, &self.after) {
            (_, None) => None,
            (Some(_), Some(after)) => Some(Staged::replace(&self.path, after.as_bytes())?),
            (None, Some(after)) => {
                // A new fragment and its directory get the modes of the main file and its directory.
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

/// A written [`Edit`] that is not in place yet.
#[derive(Debug)]
pub struct StagedEdit<'e> {
    edit: &'e Edit,
    staged: Option<Staged>,
}

impl StagedEdit<'_> {
    /// Puts the new text in place.
    ///
    /// # Errors
    /// The file changed since it was read, or could not be replaced.
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
