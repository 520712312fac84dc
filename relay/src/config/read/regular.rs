//! Regular files of a bounded size. Anything else that has a name in a file system may block its
//! reader, or never end. Only [`read_stream`] reads a pipe, and only as far as the same bound.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

/// The largest file of a configuration that is read, bytes: some 300,000 peers.
pub(super) const TEXT_MAX: u64 = 64 << 20;

/// Opens a file for reading, if it is a regular one of at most `max` bytes.
///
/// # Errors
/// It is something else, or larger; both of kind `InvalidInput`.
pub(super) fn open(path: &Path, max: u64) -> io::Result<File> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let require = |metadata: &fs::Metadata| match metadata {
        it if !it.is_file() => Err(invalid("not a regular file")),
        it if it.len() > max => Err(invalid(&format!("larger than {max} bytes"))),
        _ => Ok(()),
    };
    // First without opening it: that alone makes some devices do something.
    require(&fs::metadata(path)?)?;
    // It may be another by now, such as a FIFO, which would hold up the open.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    require(&file.metadata()?)?;
    Ok(file)
}

/// Reads a whole file that [`open`] accepts.
///
/// # Errors
/// Those of [`open`], and of reading.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    whole(open(path, TEXT_MAX)?)
}

/// Reads standard input if `path` is `-`, and a pipe, such as `/dev/fd/63`, to its end; otherwise
/// what [`read`] reads.
///
/// # Errors
/// Those of [`read`]; the input is larger than a file may be.
pub fn read_stream(path: &Path) -> io::Result<Vec<u8>> {
    match is_stream(path) {
        _ if is_standard_input(path) => whole(io::stdin().lock()),
        true => whole(File::open(path)?),
        false => read(path),
    }
}

/// Whether `path` is `-`, which is standard input, or names a pipe.
pub fn is_stream(path: &Path) -> bool {
    let is_pipe = |metadata: fs::Metadata| metadata.file_type().is_fifo();
    is_standard_input(path) || fs::metadata(path).is_ok_and(is_pipe)
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn whole(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(TEXT_MAX + 1).read_to_end(&mut bytes)?;
    match u64::try_from(read) {
        Ok(read) if read <= TEXT_MAX => Ok(bytes),
        Ok(_) | Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("does not end within {TEXT_MAX} bytes"),
        )),
    }
}
