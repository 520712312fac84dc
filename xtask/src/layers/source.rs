//! The sources of a crate, with their modules and paths.

use std::fs;
use std::path::{self, PathBuf};

use anyhow::{Context as _, Result};

use super::path::{Path, paths};

/// One source file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    /// `[policy, leaf]` for `policy/leaf.rs`, `[policy]` for `policy/mod.rs`, empty for `lib.rs`.
    pub(super) module: Vec<String>,
    pub(super) paths: Vec<Path>,
}

/// Reads the sources of the crate in the directory `src`: without modules named `tests`, and without
/// directories that are a crate of their own.
///
/// # Errors
/// A source cannot be read, or is not Rust.
pub(super) fn read(src: &path::Path) -> Result<Vec<Source>> {
    let sources = files(src)?.into_iter().map(|file| {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let paths = paths(&text).with_context(|| format!("in {}", file.display()))?;
        Ok(Source { module: module(&file, src), file, paths })
    });
    sources.collect()
}

fn files(directory: &path::Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            if path.join("main.rs").is_file() {
                continue;
            }
            files.extend(self::files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn module(file: &path::Path, src: &path::Path) -> Vec<String> {
    let relative = file.strip_prefix(src).unwrap_or(file).with_extension("");
    let mut names: Vec<_> =
        relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod") || names == ["lib"] || names == ["main"] {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_knows_its_module() {
        let src = path::Path::new("relay/src");
        let name = |file: &str| module(&src.join(file), src).join("::");
        assert_eq!(name("policy/mod.rs"), "policy");
        assert_eq!(name("policy/leaf.rs"), "policy::leaf");
        assert_eq!(name("lib.rs"), "");
    }
}
