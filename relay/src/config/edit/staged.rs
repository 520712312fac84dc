//! Atomic writes: a file appears whole and synced, or not at all.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

/// Suffix of an unfinished copy.
const ENDING: &str = ".relay-new";

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system's random number generator failed.
    #[error("cannot get random bytes")]
    Random(#[source] getrandom::Error),
    /// The file exists.
    #[error("{} already exists and was not replaced; name another file", .0.display())]
    Exists(PathBuf),
    /// The file changed since it was read.
    #[error("{} changed while it was being edited and was not replaced; try again", .0.display())]
    Changed(PathBuf),
    /// A file or directory could not be written.
    #[error("cannot {action} {}", .path.display())]
    Failed {
        /// The attempted action.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A file written and synced beside its final place, which it takes in one step. Dropped before
/// that, it is removed, with the directory that was created for it.
#[derive(Debug)]
pub struct Staged {
    unfinished: PathBuf,
    /// Locked while this value lives, which tells it from the leftovers of a killed process.
    file: File,
    path: PathBuf,
    replaces: bool,
    made_directory: Option<PathBuf>,
}

impl Staged {
    /// A new file with this mode. A missing directory is created with `directory_mode`.
    ///
    /// # Errors
    /// It could not be written.
    pub fn create(
        path: &Path,
        content: &[u8],
        mode: u32,
        directory_mode: u32,
    ) -> Result<Self, WriteError> {
        let made = create_directory(&directory_of(path), directory_mode)?;
        let staged = Self::write(path.to_owned(), content, mode, false);
        let directory = made.then(|| directory_of(path));
        if let (Some(directory), Err(_)) = (&directory, &staged) {
            // The error says more.
            drop(fs::remove_dir(directory));
        }
        let mut staged = staged?;
        staged.made_directory = directory;
        Ok(staged)
    }

    /// A new file with this mode in an existing directory.
    ///
    /// # Errors
    /// It exists, or could not be written.
    pub fn beside(path: &Path, content: &[u8], mode: u32) -> Result<Self, WriteError> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(WriteError::Exists(path.to_owned()));
        }
        Self::write(path.to_owned(), content, mode, false)
    }

    /// A file with this mode that replaces an existing one, if any.
    ///
    /// # Errors
    /// It could not be written.
    pub fn put(path: &Path, content: &[u8], mode: u32) -> Result<Self, WriteError> {
        Self::write(path.to_owned(), content, mode, true)
    }

    /// New content for an existing file, whose mode and owner are kept. Of a symbolic link, the
    /// target is replaced.
    ///
    /// # Errors
    /// It does not exist, or the new one could not be written.
    pub fn replace(path: &Path, content: &[u8]) -> Result<Self, WriteError> {
        let path = fs::canonicalize(path).map_err(failed("find", path))?;
        let old = fs::metadata(&path).map_err(failed("look at", &path))?;
        let staged = Self::write(path, content, old.mode() & 0o7777, true)?;
        let new = fs::metadata(&staged.unfinished).map_err(failed("look at", &staged.path))?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            std::os::unix::fs::chown(&staged.unfinished, Some(old.uid()), Some(old.gid()))
                .map_err(failed("keep the owner of", &staged.path))?;
        }
        // Changing the owner clears bits of the mode.
        set_mode(&staged.unfinished, old.mode() & 0o7777)
            .map_err(failed("keep the mode of", &staged.path))?;
        Ok(staged)
    }

    fn write(path: PathBuf, content: &[u8], mode: u32, replaces: bool) -> Result<Self, WriteError> {
        let directory = directory_of(&path);
        clean(&directory);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(WriteError::Random)?;
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{:016x}{ENDING}", u64::from_ne_bytes(random)));
        let unfinished = directory.join(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(failed("create", &path))?;
        let staged = Self { unfinished, file, path, replaces, made_directory: None };
        let mut file = &staged.file;
        file.lock().map_err(failed("lock", &staged.path))?;
        let written = file.write_all(content).and_then(|()| set_mode(&staged.unfinished, mode));
        written.and_then(|()| file.sync_all()).map_err(failed("write", &staged.path))?;
        Ok(staged)
    }

    /// The final path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the file to its final path.
    ///
    /// # Errors
    /// A new file exists already, or the move failed.
    pub fn commit(mut self) -> Result<(), WriteError> {
        if self.replaces {
            fs::rename(&self.unfinished, &self.path).map_err(failed("replace", &self.path))?;
        } else {
            // Unlike a rename, a link never replaces a file.
            fs::hard_link(&self.unfinished, &self.path).map_err(|source| {
                if source.kind() == io::ErrorKind::AlreadyExists {
                    WriteError::Exists(self.path.clone())
                } else {
                    failed("create", &self.path)(source)
                }
            })?;
            fs::remove_file(&self.unfinished).map_err(failed("remove", &self.unfinished))?;
        }
        self.made_directory = None;
        sync_directory(&directory_of(&self.path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit neither exists; before it, the error that led here is reported.
        drop(fs::remove_file(&self.unfinished));
        if let Some(directory) = &self.made_directory {
            drop(fs::remove_dir(directory));
        }
    }
}

/// Removes the leftovers of killed processes: unfinished copies that nobody has locked.
pub(super) fn clean(directory: &Path) {
    // A leftover that cannot be removed is harmless: it is never read.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_copy = is_copy(&entry.file_name()) && entry.file_type().is_ok_and(|it| it.is_file());
        let locked = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_copy && locked() {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// `.NAME.0123456789abcdef.relay-new`
fn is_copy(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| {
        let (_, random) = name.strip_prefix('.')?.strip_suffix(ENDING)?.rsplit_once('.')?;
        Some(random)
    });
    random.is_some_and(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Removes a file and syncs its directory.
///
/// # Errors
/// It could not be removed.
pub(super) fn remove(path: &Path) -> Result<(), WriteError> {
    fs::remove_file(path).map_err(failed("remove", path))?;
    sync_directory(&directory_of(path))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Creates a directory. `false` if it exists.
fn create_directory(directory: &Path, mode: u32) -> Result<bool, WriteError> {
    match fs::DirBuilder::new().mode(mode).create(directory) {
        Ok(()) => sync_directory(&directory_of(directory)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("create the directory", directory)(error)),
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn sync_directory(directory: &Path) -> Result<(), WriteError> {
    let opened = File::open(directory);
    opened.and_then(|directory| directory.sync_all()).map_err(failed("sync", directory))
}

pub(super) fn failed<'p>(
    action: &'static str,
    path: &'p Path,
) -> impl FnOnce(io::Error) -> WriteError + 'p {
    move |source| WriteError::Failed { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_a_killed_run_left_behind_go_with_the_next_and_others_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let names = || {
            let entries = fs::read_dir(directory.path()).expect("entries");
            let names = entries.map(|entry| entry.expect("an entry").file_name());
            let mut names: Vec<_> = names.map(|it| it.into_string().expect("text")).collect();
            names.sort();
            names
        };
        let other = ".private.key.relay-new";
        let [left, held] = ["0123456789abcdef", "fedcba9876543210"]
            .map(|random| format!(".private.key.{random}.relay-new"));
        for name in [other, &left, &held] {
            fs::write(path(name), "").expect("written");
        }
        let file = fs::File::open(path(&held)).expect("a file");
        file.lock().expect("a lock");
        let staged = Staged::put(&path("a"), b"a", 0o600).expect("staged");
        // One that is at work knows its own from those that are left.
        let again = Staged::put(&path("b"), b"b", 0o600).expect("staged");
        staged.commit().expect("in place");
        again.commit().expect("in place");
        assert_eq!(names(), [&held, other, "a", "b"]);
        file.unlock().expect("no lock");
        Staged::put(&path("c"), b"c", 0o600).expect("staged").commit().expect("in place");
        assert_eq!(names(), [other, "a", "b", "c"]);
    }
}
