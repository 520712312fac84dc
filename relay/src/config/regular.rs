//! Regular files of a bounded size: what else has a name in a file system may hold up whoever reads
//! it, or never end.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The largest file of a configuration that is read, bytes: some 300,000 peers.
pub(super) const TEXT_MAX: u64 = 64 << 20;

/// Opens a file for reading, if it is a regular one of at most `max` bytes.
///
/// # Errors
/// It is something else, or larger; both of kind `InvalidInput`.
pub(super) fn open(path: &Path, max: u64) -> io::Result<File> {
    let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let require = |metadata: &fs::Metadata| match metadata {
        it if !it.is_file() => Err(refused("not a regular file")),
        it if it.len() > max => Err(refused(&format!("larger than {max} bytes"))),
        _ => Ok(()),
    };
    // First without opening it: that alone makes some devices do something.
    require(&fs::metadata(path)?)?;
    // It may be another by now, such as a FIFO, which would hold up the open.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    require(&file.metadata()?)?;
    Ok(file)
}

/// Reads a whole file that [`open`] takes.
///
/// # Errors
/// Those of [`open`], and of reading.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path, TEXT_MAX)?.take(TEXT_MAX + 1).read_to_end(&mut bytes)?;
    match u64::try_from(read) {
        Ok(read) if read <= TEXT_MAX => Ok(bytes),
        Ok(_) | Err(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it grows without end")),
    }
}
