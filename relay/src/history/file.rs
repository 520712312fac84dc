//! The file: whose it is, and where it goes when it is damaged.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::HistoryError;

/// Permission of others than the owner to write.
const OTHERS_WRITE: u32 = 0o022;

/// Creates the file, and its directory, where they are missing; for the owner alone.
///
/// # Errors
/// It cannot be created, or others can write to it or to its directory.
pub(super) fn create(path: &Path) -> Result<(), HistoryError> {
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed(directory, "create"))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_new) => sync_directory(path)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(path, "create")(error)),
    }
    require_own(path)
}

/// Checks that there is a regular file, and that nobody but its owner, who is this user, root or the
/// owner of the directory, can write to it.
///
/// # Errors
/// There is none, or others can write to it or to its directory.
pub(super) fn require_own(path: &Path) -> Result<(), HistoryError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HistoryError::Missing { path: path.to_owned() });
        }
        found => found.map_err(failed(path, "look at"))?,
    };
    let open = |path: &Path, found: String, expected| {
        Err(HistoryError::Open { path: path.to_owned(), found, expected })
    };
    if !found.is_file() {
        return open(path, "is no regular file".to_owned(), "a regular file");
    }
    let directory = directory_of(path);
    let around = fs::metadata(directory).map_err(failed(directory, "look at"))?;
    let own = rustix::process::geteuid().as_raw();
    if ![0, own, around.uid()].contains(&found.uid()) {
        let found = format!("belongs to user {}", found.uid());
        return open(path, found, "a file of root or of this user");
    }
    let others = |found: &Metadata| {
        let mode = found.mode() & 0o7777;
        (mode & OTHERS_WRITE != 0).then(|| format!("has mode {mode:04o}"))
    };
    match (others(&found), others(&around)) {
        (Some(found), _) => open(path, found, "0600"),
        (None, Some(found)) => open(directory, found, "0700"),
        (None, None) => Ok(()),
    }
}

/// Renames a damaged file, and what SQLite keeps beside it, and says where it is now.
///
/// # Errors
/// It cannot be renamed.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, HistoryError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let name = |number: u32| match number {
        0 => beside(path, &format!(".damaged-{now}")),
        _ => beside(path, &format!(".damaged-{now}-{number}")),
    };
    let free = (0..).map(name).find(|name| fs::symlink_metadata(name).is_err());
    let free = free.unwrap_or_else(|| name(0));
    // The journal first: alone it would be played back into the new file.
    match fs::rename(beside(path, "-journal"), beside(&free, "-journal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(path, "rename the journal of")(error));
        }
        Ok(()) | Err(_) => {}
    }
    fs::rename(path, &free).map_err(failed(path, "rename"))?;
    sync_directory(path)?;
    Ok(free)
}

/// Whether a write to it was cut off, so that the next who may write has to take it back.
pub(super) fn has_journal(path: &Path) -> bool {
    fs::metadata(beside(path, "-journal")).is_ok_and(|journal| journal.len() > 0)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> Result<(), HistoryError> {
    let directory = directory_of(path);
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(failed(directory, "write"))
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> HistoryError {
    let path = path.to_owned();
    move |source| HistoryError::File { path, action, source }
}
