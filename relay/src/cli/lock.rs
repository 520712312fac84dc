//! One command at a time changes a relay, and one at a time its files.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    process::geteuid,
};

use crate::{
    config::{self, Loaded, Options},
    model::InterfaceName,
};

/// Nobody but root writes there, so nobody else can hold a relay up. Emptied by a reboot, as the
/// kernel is.
const DIRECTORY: &str = "/run/relay";

/// The network namespace of this thread; an interface's name is known in one alone.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The directory of the locks is not one that others are kept out of.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is {found}; expected a directory of root's that nobody else can write to. Remove it, and run \
     the command again", .path.display()
)]
pub(super) struct NotPrivate {
    path: PathBuf,
    found: String,
}

/// Keeps other commands out for as long as it is held. The kernel lets go of it when this process
/// ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// The file tells who holds it.
    is_named: bool,
}

impl Lock {
    /// For who changes the relay on `interface`: two at once would each plan on what the other is
    /// changing. What is read before is stale.
    ///
    /// # Errors
    /// The lock cannot be taken.
    pub(super) fn relay(interface: &InterfaceName, verb: &str) -> Result<Self> {
        Self::relay_in(Path::new(DIRECTORY), interface, verb)
    }

    /// For who changes the files of `config`. It is on the directory, since the files are replaced.
    ///
    /// # Errors
    /// The lock cannot be taken.
    pub(super) fn files(config: &Path) -> Result<Self> {
        let config =
            fs::canonicalize(config).with_context(|| format!("find {}", config.display()))?;
        let directory = config.parent().unwrap_or(Path::new("/"));
        let failed = || format!("lock {}", directory.display());
        let file = File::open(directory).with_context(failed)?;
        wait(&file, || {
            format!("waiting for another command that changes files in {}", directory.display())
        })
        .with_context(failed)?;
        Ok(Self { file, is_named: false })
    }

    fn relay_in(directory: &Path, interface: &InterfaceName, verb: &str) -> Result<Self> {
        let namespace =
            fs::metadata(NAMESPACE).with_context(|| format!("look at {NAMESPACE}"))?.ino();
        let path = directory.join(format!("{namespace}-{interface}.lock"));
        let failed = || format!("lock {}", path.display());
        let directory = private(directory)?;
        let name = path.file_name().unwrap_or_default();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.map_err(io::Error::from).with_context(failed)?);
        wait(&file, || format!("{interface}: waiting for {}", holder(&file)))
            .with_context(failed)?;
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{} {verb}", process::id()));
        named.with_context(failed)?;
        Ok(Self { file, is_named: true })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_named {
            // Who waits next is not to be told of a process that has gone on.
            drop(self.file.set_len(0));
        }
    }
}

/// The configuration as it is while nobody else changes its relay.
///
/// # Errors
/// The configuration is not right, or the lock cannot be taken.
pub(super) fn load(config: &Path, options: Options, verb: &str) -> Result<(Loaded, Lock)> {
    let mut interface = config::load(config, options)?.relay.interface;
    loop {
        let lock = Lock::relay(&interface, verb)?;
        // Whoever held the lock may have changed the files.
        let loaded = config::load(config, options)?;
        if loaded.relay.interface == interface {
            return Ok((loaded, lock));
        }
        interface = loaded.relay.interface;
    }
}

/// Takes the lock of a file; says why when that takes longer.
fn wait(file: &File, why: impl FnOnce() -> String) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            // Nobody may be there to read it.
            drop(writeln!(io::stderr(), "{}", why()));
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Who holds a lock, as the file tells.
fn holder(mut file: &File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim_end().split_once(' ')) {
        (Ok(_), Some((pid, verb))) => format!("`relay {verb}` (process {pid}) to end"),
        (Ok(_) | Err(_), _) => "another relay command to end".to_owned(),
    }
}

/// Opens the directory of the locks, which is made when it is missing.
fn private(path: &Path) -> Result<File> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.with_context(|| format!("make the directory {}", path.display()))?,
    }
    let not_private = |found| NotPrivate { path: path.to_owned(), found };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        Ok(directory) => File::from(directory),
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return Err(not_private("no directory".to_owned()).into());
        }
        Err(error) => {
            return Err(io::Error::from(error)).with_context(|| format!("open {}", path.display()));
        }
    };
    let found = directory.metadata().with_context(|| format!("look at {}", path.display()))?;
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Err(not_private(format!("owned by user {}", found.uid())).into());
    }
    if found.mode() & 0o022 != 0 {
        return Err(not_private(format!("of mode {:o}", found.mode() & 0o7777)).into());
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt as _, symlink},
        sync::mpsc,
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn one_holds_an_interface_and_is_named_to_the_other() {
        let there = tempfile::tempdir().expect("a directory");
        let directory = there.path().join("relay");
        let held = Lock::relay_in(&directory, &name("relay0"), "up").expect("a lock");
        let other = Lock::relay_in(&directory, &name("relay1"), "up");
        drop(other.expect("the lock of another interface"));
        let path = fs::read_dir(&directory).expect("a list").map(|entry| entry.expect("an entry"));
        let path = path
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with("-relay0.lock"));
        let file = File::open(path.expect("a file of the lock")).expect("a file");
        assert_eq!(holder(&file), format!("`relay up` (process {}) to end", process::id()));

        let (sender, receiver) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let lock = Lock::relay_in(&directory, &name("relay0"), "down").expect("a lock");
            sender.send(()).expect("somebody listens");
            drop(lock);
        });
        let early = receiver.recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "two hold one lock");
        drop(held);
        receiver.recv_timeout(Duration::from_secs(10)).expect("the lock is let go of");
        waiting.join().expect("no panic");
        assert_eq!(holder(&file), "another relay command to end");
    }

    #[test]
    fn files_stay_locked_when_they_are_replaced() {
        let there = tempfile::tempdir().expect("a directory");
        let config = there.path().join("relay.toml");
        fs::write(&config, "").expect("written");
        let held = Lock::files(&config).expect("a lock");
        fs::write(there.path().join("new"), "").expect("written");
        fs::rename(there.path().join("new"), &config).expect("renamed");
        let directory = File::open(there.path()).expect("a directory");
        assert!(matches!(directory.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        directory.try_lock().expect("let go of");
    }

    #[test]
    fn a_directory_that_others_write_to_holds_no_locks() {
        let there = tempfile::tempdir().expect("a directory");
        let directory = there.path().join("relay");
        fs::create_dir(&directory).expect("a directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("a mode");
        let refused = |path: &Path| {
            let error = Lock::relay_in(path, &name("relay0"), "up").expect_err("refused");
            error.downcast_ref::<NotPrivate>().expect("for its mode").found.clone()
        };
        assert_eq!(refused(&directory), "of mode 777");
        symlink(&directory, there.path().join("link")).expect("a link");
        assert_eq!(refused(&there.path().join("link")), "no directory");
    }

    fn name(name: &str) -> InterfaceName {
        name.parse().expect("a name")
    }
}
