use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{fault::Fault, regular};

/// One configuration file: the main one, or a fragment.
#[derive(Debug, Clone)]
pub(in crate::config) struct Source {
    /// The file, as named by the caller.
    pub(in crate::config) path: PathBuf,
    /// Its text, or why it cannot be read.
    pub(in crate::config) text: Result<String, Fault>,
}

impl Source {
    /// Path and text, if it could be read.
    pub(super) fn read_text(&self) -> Option<(PathBuf, String)> {
        Some((self.path.clone(), self.text.as_ref().ok()?.clone()))
    }
}

/// Reads the main file at `path`, then its fragments (`relay.d/*.toml` for `relay.toml`) in the order
/// of their names.
pub(in crate::config) fn read(path: &Path) -> Vec<Source> {
    let mut sources = vec![read_file(path)];
    let directory = path.with_extension("d");
    match fragments(&directory) {
        Ok(paths) => sources.extend(paths.iter().map(|path| read_file(path))),
        Err(error) => {
            let what = "the directory of fragments ";
            let fault = Fault::unread(what, &error, "make it a directory of *.toml files");
            sources.push(Source { path: directory, text: Err(fault) });
        }
    }
    sources
}

/// The `*.toml` in `directory`, sorted; none if there is no such directory. Hidden files, which
/// editors and package managers leave behind, are skipped as a shell's `*.toml` skips them.
pub(super) fn fragments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension() == Some(OsStr::new("toml")) {
            paths.push(directory.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_file(path: &Path) -> Source {
    let text = match regular::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Fault::new(format!("is not UTF-8 (byte {at})"), "save it as UTF-8")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Fault::new("does not exist", "create it, or name another with --config"))
        }
        Err(error) => Err(Fault::unread("", &error, "name a regular file")),
    };
    Source { path: path.to_owned(), text }
}
