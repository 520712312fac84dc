//! Locks: one command at a time changes a relay, and one at a time its files.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    process::geteuid,
};

use super::{Classified, ErrorContext as _, Notice, Result, Site};
use crate::{
    config::{self, Loaded, Options},
    model::InterfaceName,
};

/// Only root writes there, so nobody else can hold a lock. A reboot empties it.
pub(super) const DIRECTORY: &str = "/run/relay";

/// The network namespace of this thread.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Somebody other than root can write to the directory of the locks.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: found {found}, expected a directory owned by root that nobody else can write to; remove it \
     and run the command again", .path.display()
)]
pub(super) struct NotPrivate {
    path: PathBuf,
    found: String,
}

impl Classified for NotPrivate {}

/// Keeps other commands out until it is dropped. The kernel releases it when this process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// The file names its holder.
    is_named: bool,
}

impl Lock {
    /// Locks the relay on `interface` for a change. Read the configuration and the kernel after
    /// this: what was read before is stale.
    ///
    /// # Errors
    /// The lock file cannot be opened or locked.
    pub(super) fn relay(interface: &InterfaceName, verb: &str, notice: Notice) -> Result<Self> {
        Self::relay_in(Path::new(DIRECTORY), interface, verb, notice)
    }

    /// Locks the relay on `interface` for a change, if no other command changes it; a second one that
    /// this process holds counts as another's.
    ///
    /// # Errors
    /// The lock file cannot be opened or locked.
    pub(super) fn try_relay(interface: &InterfaceName, verb: &str) -> Result<Option<Self>> {
        let (file, path) = Self::open(Path::new(DIRECTORY), interface)?;
        let failed = || format!("lock {}", path.display());
        match file.try_lock() {
            Ok(()) => Ok(Some(Self::named(file, verb))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// Locks the relay of a configuration, and reads the files of it again under that lock: its last
    /// holder may have changed them.
    ///
    /// # Errors
    /// The configuration is invalid, others can change it, or the lock cannot be taken.
    pub(super) fn load(
        site: Site<'_>,
        mut loaded: Loaded,
        options: Options,
    ) -> Result<(Loaded, Self)> {
        loop {
            let interface = loaded.relay.interface.clone();
            let lock = Self::relay(&interface, site.verb, site.notice)?;
            loaded = config::load_again(loaded, site.config, options)?;
            config::require_trusted(&loaded)?;
            if loaded.relay.interface == interface {
                return Ok((loaded, lock));
            }
        }
    }

    /// Locks the files of `config` for a change. The lock is on their directory, since a change
    /// replaces files.
    ///
    /// # Errors
    /// The directory cannot be opened or locked.
    pub fn files(config: &Path, notice: Notice) -> Result<Self> {
        let config =
            fs::canonicalize(config).with_context(|| format!("find {}", config.display()))?;
        let directory = config.parent().unwrap_or(Path::new("/"));
        let failed = || format!("lock {}", directory.display());
        let file = File::open(directory).with_context(failed)?;
        let why =
            || format!("waiting for another command that changes files in {}", directory.display());
        wait(&file, why, notice).with_context(failed)?;
        Ok(Self { file, is_named: false })
    }

    fn relay_in(
        directory: &Path,
        interface: &InterfaceName,
        verb: &str,
        notice: Notice,
    ) -> Result<Self> {
        let (file, path) = Self::open(directory, interface)?;
        let failed = || format!("lock {}", path.display());
        wait(&file, || format!("{interface}: waiting for {}", holder(&file)), notice)
            .with_context(failed)?;
        Ok(Self::named(file, verb))
    }

    fn open(directory: &Path, interface: &InterfaceName) -> Result<(File, PathBuf)> {
        let path = directory.join(format!("{}-{interface}.lock", namespace()?));
        let directory = private(directory)?;
        let name = path.file_name().unwrap_or_default();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, name, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(io::Error::from);
        Ok((File::from(file.with_context(|| format!("lock {}", path.display()))?), path))
    }

    /// The lock of a file that is locked, with its holder written into it. On a full file system the
    /// holder is another command without a name, and relays can be changed as ever.
    fn named(mut file: File, verb: &str) -> Self {
        let named = file.set_len(0).and_then(|()| file.rewind());
        drop(named.and_then(|()| writeln!(file, "{} {verb}", process::id())));
        Self { file, is_named: true }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_named {
            // The next one that waits must not read the name of a process that has finished.
            drop(self.file.set_len(0));
        }
    }
}

/// Inode of the network namespace; an interface name is valid in one namespace.
pub(super) fn namespace() -> Result<u64> {
    Ok(fs::metadata(NAMESPACE).with_context(|| format!("stat {NAMESPACE}"))?.ino())
}

/// Locks a file, and gives notice if another process holds it.
fn wait(file: &File, why: impl FnOnce() -> String, notice: Notice) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            notice(&why());
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The holder of a lock, as its file names it.
fn holder(mut file: &File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim_end().split_once(' ')) {
        (Ok(_), Some((pid, verb))) => format!("`relay {verb}` (process {pid})"),
        (Ok(_) | Err(_), _) => "another relay command".to_owned(),
    }
}

/// Opens the directory of the locks, and creates it if it is missing.
pub(super) fn private(path: &Path) -> Result<File> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.with_context(|| format!("create the directory {}", path.display()))?,
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
    let found = directory.metadata().with_context(|| format!("stat {}", path.display()))?;
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Err(not_private(format!("owner {}", found.uid())).into());
    }
    if found.mode() & 0o022 != 0 {
        return Err(not_private(format!("mode {:o}", found.mode() & 0o7777)).into());
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
    fn one_command_holds_an_interface_and_the_next_reads_its_name() {
        let there = tempfile::tempdir().expect("a directory");
        let directory = there.path().join("relay");
        let held = Lock::relay_in(&directory, &name("relay0"), "up", quiet).expect("a lock");
        let other = Lock::relay_in(&directory, &name("relay1"), "up", quiet);
        drop(other.expect("the lock of another interface"));
        let path = fs::read_dir(&directory).expect("a list").map(|entry| entry.expect("an entry"));
        let path = path
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with("-relay0.lock"));
        let file = File::open(path.expect("a file of the lock")).expect("a file");
        assert_eq!(holder(&file), format!("`relay up` (process {})", process::id()));

        let (sender, receiver) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let lock = Lock::relay_in(&directory, &name("relay0"), "down", quiet).expect("a lock");
            sender.send(()).expect("somebody listens");
            drop(lock);
        });
        let early = receiver.recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "two hold one lock");
        drop(held);
        receiver.recv_timeout(Duration::from_secs(10)).expect("the lock is released");
        waiting.join().expect("no panic");
        assert_eq!(holder(&file), "another relay command");
    }

    #[test]
    fn files_stay_locked_when_they_are_replaced() {
        let there = tempfile::tempdir().expect("a directory");
        let config = there.path().join("relay.toml");
        fs::write(&config, "").expect("written");
        let held = Lock::files(&config, quiet).expect("a lock");
        fs::write(there.path().join("new"), "").expect("written");
        fs::rename(there.path().join("new"), &config).expect("renamed");
        let directory = File::open(there.path()).expect("a directory");
        assert!(matches!(directory.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        directory.try_lock().expect("released");
    }

    #[test]
    fn a_directory_that_others_write_to_holds_no_locks() {
        let there = tempfile::tempdir().expect("a directory");
        let directory = there.path().join("relay");
        fs::create_dir(&directory).expect("a directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("a mode");
        let failure = |path: &Path| {
            let error = Lock::relay_in(path, &name("relay0"), "up", quiet);
            error.expect_err("not private").to_string()
        };
        assert!(failure(&directory).contains("found mode 777, expected"));
        symlink(&directory, there.path().join("link")).expect("a link");
        assert!(failure(&there.path().join("link")).contains("found no directory, expected"));
    }

    fn quiet(_line: &str) {}

    fn name(name: &str) -> InterfaceName {
        name.parse().expect("a name")
    }
}
