use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    lines::hunks,
    staged::{Staged, WriteError, clean, failed, remove},
};

/// Mode of a new fragment if the main file's mode is unknown.
const FRAGMENT_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// An unwritten change of files of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// That of the peer's own file comes last: no file then names a peer that is gone already.
    pub(super) files: Vec<FileEdit>,
    pub(super) main: PathBuf,
}

/// An unwritten change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEdit {
    pub(super) path: PathBuf,
    /// The present text; `None` if the file does not exist.
    pub(super) before: Option<String>,
    /// The new text; `None` if the file goes.
    pub(super) after: Option<String>,
}

impl Edit {
    /// The files that change, the peer's own first.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.changed().rev().map(|file| file.path.as_path())
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changed().next().is_none()
    }

    /// Renders removed and added lines, of the peer's own file first.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn render_into(&self, out: &mut impl Write) -> io::Result<()> {
        self.changed().rev().try_for_each(|file| file.render_into(out))
    }

    /// Writes the new texts beside the files.
    ///
    /// # Errors
    /// One could not be written; nothing has changed.
    pub fn stage(&self) -> Result<StagedEdit<'_>, WriteError> {
        // The directory of the file itself is cleaned by `Staged`.
        let fragments = self.main.with_extension("d");
        for directory in [self.main.parent(), Some(fragments.as_path())].into_iter().flatten() {
            clean(directory);
        }
        let staged = self.changed().map(|file| Ok((file, file.stage(&self.main)?)));
        Ok(StagedEdit { files: staged.collect::<Result<_, WriteError>>()? })
    }

    fn changed(&self) -> impl DoubleEndedIterator<Item = &FileEdit> {
        self.files.iter().filter(|file| file.before != file.after)
    }
}

impl FileEdit {
    fn render_into(&self, out: &mut impl Write) -> io::Result<()> {
        let lines = |text: &Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
        };
        let (before, after) = (lines(&self.before), lines(&self.after));
        let verb = match (&self.before, &self.after) {
            (None, _) => "new file",
            (Some(_), None) => "remove",
            (Some(_), Some(_)) => "change",
        };
        writeln!(out, "{verb} {}", self.path.display())?;
        for (removed, added) in hunks(&before, &after) {
            for line in &before[removed] {
                writeln!(out, "- {line}")?;
            }
            for line in &after[added] {
                writeln!(out, "+ {line}")?;
            }
        }
        Ok(())
    }

    fn stage(&self, main: &Path) -> Result<Option<Staged>, WriteError> {
        match (&self.before, &self.after) {
            (_, None) => Ok(None),
            (Some(_), Some(after)) => Ok(Some(Staged::replace(&self.path, after.as_bytes())?)),
            (None, Some(after)) => {
                // A new fragment and its directory get the modes of the main file and its directory.
                let directory = main.parent().filter(|parent| *parent != Path::new(""));
                let directory = fs::metadata(directory.unwrap_or(Path::new(".")));
                let directory = directory.map(|directory| directory.mode() & 0o777);
                let main = fs::metadata(main).map(|main| main.mode() & 0o777);
                Ok(Some(Staged::create(
                    &self.path,
                    after.as_bytes(),
                    main.unwrap_or(FRAGMENT_MODE),
                    directory.unwrap_or(DIRECTORY_MODE),
                )?))
            }
        }
    }

    fn require_unchanged(&self) -> Result<(), WriteError> {
        let Some(before) = &self.before else { return Ok(()) };
        let now = fs::read(&self.path).map_err(failed("read", &self.path))?;
        if now == before.as_bytes() { Ok(()) } else { Err(WriteError::Changed(self.path.clone())) }
    }

    /// Puts the former text in place again, as far as that is possible.
    fn restore(&self) {
        if let Some(before) = &self.before {
            // The error that led here says more.
            drop(Staged::replace(&self.path, before.as_bytes()).and_then(Staged::commit));
        }
    }
}

/// A written [`Edit`] that is not in place yet.
#[derive(Debug)]
pub struct StagedEdit<'e> {
    files: Vec<(&'e FileEdit, Option<Staged>)>,
}

impl StagedEdit<'_> {
    /// Puts the new texts in place.
    ///
    /// # Errors
    /// A file changed since it was read, or could not be replaced; all have their former text.
    pub fn commit(self) -> Result<(), WriteError> {
        self.files.iter().try_for_each(|(file, _)| file.require_unchanged())?;
        let mut done: Vec<&FileEdit> = Vec::new();
        for (file, staged) in self.files {
            let placed = match staged {
                Some(staged) => staged.commit(),
                None => remove(&file.path),
            };
            if let Err(error) = placed {
                done.iter().for_each(|file| file.restore());
                return Err(error);
            }
            done.push(file);
        }
        Ok(())
    }
}
