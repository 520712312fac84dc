//! The configuration that was brought up last, so that what is in force is known after its files
//! have been edited. Whoever reads it compares it with the policy that the kernel has.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, openat, renameat};
use serde::{Deserialize, Serialize};

use super::{
    ErrorContext as _, Result,
    lock::{DIRECTORY, namespace, private},
};
use crate::{
    config::{self, Loaded, Options},
    model::InterfaceName,
};

/// A file as it was.
#[derive(Serialize, Deserialize)]
struct Recorded {
    path: PathBuf,
    text: String,
}

/// Keeps the files of a configuration, under the lock of its relay.
///
/// # Errors
/// The record cannot be written.
pub(super) fn write(loaded: &Loaded) -> Result<()> {
    write_in(Path::new(DIRECTORY), loaded)
}

/// The recorded configuration of an interface, if there is one that this version reads.
///
/// # Errors
/// The record cannot be read.
pub(super) fn read(interface: &InterfaceName) -> Result<Option<Loaded>> {
    read_in(Path::new(DIRECTORY), interface)
}

/// Removes the record of an interface.
///
/// # Errors
/// It cannot be removed.
pub(super) fn remove(interface: &InterfaceName) -> Result<()> {
    discard(&name(interface)?)
}

/// Removes a file of the directory, if there is one of this name.
///
/// # Errors
/// It cannot be removed.
pub(super) fn discard(name: &str) -> Result<()> {
    let path = Path::new(DIRECTORY).join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file of the directory, which only root can read.
///
/// # Errors
/// It cannot be written.
pub(super) fn store(name: &str, text: &[u8]) -> Result<()> {
    store_in(Path::new(DIRECTORY), name, text)
}

fn write_in(directory: &Path, loaded: &Loaded) -> Result<()> {
    let name = name(&loaded.relay.interface)?;
    let failed = || format!("write {}", directory.join(&name).display());
    let files = loaded
        .texts()
        .map(|(path, text)| Recorded { path: path.to_owned(), text: text.to_owned() });
    let text = serde_json::to_vec(&files.collect::<Vec<_>>()).map_err(io::Error::other);
    store_in(directory, &name, &text.with_context(failed)?)
}

fn store_in(directory: &Path, name: &str, text: &[u8]) -> Result<()> {
    let failed = || format!("write {}", directory.join(name).display());
    let directory = private(directory)?;
    let unfinished = format!("{name}.unfinished");
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let written = openat(&directory, &*unfinished, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io::Error::from)
        .and_then(|file| io::Write::write_all(&mut fs::File::from(file), text))
        .and_then(|()| Ok(renameat(&directory, &*unfinished, &directory, name)?));
    written.with_context(failed)
}

fn read_in(directory: &Path, interface: &InterfaceName) -> Result<Option<Loaded>> {
    let path = directory.join(name(interface)?);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("read {}", path.display()))?,
    };
    let Ok(files) = serde_json::from_slice::<Vec<Recorded>>(&text) else { return Ok(None) };
    let texts = files.into_iter().map(|Recorded { path, text }| (path, text));
    Ok(config::load_texts(texts, Options { allow_empty: true }).ok())
}

fn name(interface: &InterfaceName) -> Result<String> {
    Ok(format!("{}-{interface}.json", namespace()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_brought_up_is_known_after_its_files_have_changed() {
        let there = tempfile::tempdir().expect("a directory");
        let (main, fragments) = (there.path().join("relay.toml"), there.path().join("relay.d"));
        let text = "[relay]\ninterface = \"relay0\"\naddress = [\"10.3.2.1/24\"]\n\
                    private_key_file = \"key\"\nlisten_port = 51820\n";
        fs::write(&main, text).expect("written");
        fs::create_dir(&fragments).expect("a directory");
        let peer = "[[peer]]\nname = \"ann\"\naddress = [\"10.3.2.2\"]\n\
                    public_key = \"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"\n";
        fs::write(fragments.join("ann.toml"), peer).expect("written");
        let loaded = config::load(&main, Options::default()).expect("no problems");
        let directory = there.path().join("run");
        let interface = &loaded.relay.interface;
        assert!(read_in(&directory, interface).expect("nothing there").is_none());
        write_in(&directory, &loaded).expect("written");
        fs::remove_file(fragments.join("ann.toml")).expect("removed");
        fs::write(&main, "").expect("written");
        let recorded = read_in(&directory, interface).expect("readable").expect("there");
        assert_eq!(recorded.relay, loaded.relay);

        let entries = fs::read_dir(&directory).expect("a list");
        let entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        let [file] = entries.as_slice() else { panic!("{entries:?}") };
        let mode = fs::metadata(file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(file, "torn").expect("written");
        assert!(read_in(&directory, interface).expect("readable").is_none());
    }
}
