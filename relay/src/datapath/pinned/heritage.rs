//! Pins of other versions of relay for the same interface. Links and maps of the same shape are
//! taken over; the rest is removed.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use aya::{maps::MapInfo, programs::loaded_programs};

use super::{
    super::{DatapathError, link, tcx},
    declared::{ALL, COUNTERS},
};
use crate::model::Direction;

/// A directory of pins of another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heritage {
    dir: PathBuf,
    counters_continue: bool,
}

impl fmt::Display for Heritage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = if self.counters_continue {
            "counters continue"
        } else {
            "some counters restart at zero: their layout differs"
        };
        write!(f, "~ pins in {}: taken over; {counters}", self.dir.display())
    }
}

impl Heritage {
    /// A directory, and whether all its counters are taken over.
    pub(super) fn new(dir: &Path, counters_continue: bool) -> Self {
        Self { dir: dir.to_owned(), counters_continue }
    }

    /// Path of the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The directories of other versions beside `own` that belong to this network namespace, the latest
/// first. The names of early versions lack the namespace: such a directory belongs to another
/// namespace if its programs run there.
pub(super) fn find(home: &Path, own: &Path, namespace: u64) -> Result<Vec<PathBuf>, DatapathError> {
    let mut found = Vec::new();
    for name in list(home)? {
        let dir = home.join(&name);
        let Some((version, of)) = parse(&name).filter(|_| dir != own) else { continue };
        let is_ours = match of {
            Some(of) => of == namespace,
            None => !runs_elsewhere(home, &dir)?,
        };
        if is_ours {
            found.push((version, dir));
        }
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_version, dir)| dir).collect())
}

/// Whether a map that another version pinned under this name serves this version.
pub(super) fn serves(name: &str, path: &Path) -> bool {
    ALL.iter().any(|map| {
        map.epoch(name).is_some_and(|epoch| {
            let beside = map.beside().map(|of| path.with_file_name(of.file(epoch)));
            map.at(path.to_owned(), beside).is_inheritable()
        })
    })
}

/// The names in a directory, sorted; none if there is no directory.
pub(super) fn list(dir: &Path) -> Result<Vec<String>, DatapathError> {
    let failed = |source| DatapathError::Pin { path: dir.to_owned(), action: "list", source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>().map_err(failed)?;
    names.sort();
    Ok(names)
}

/// `v2-4026531840` is version 2 of that network namespace, `v1` version 1 of an unknown one.
fn parse(name: &str) -> Option<(u32, Option<u64>)> {
    let name = name.strip_prefix('v')?;
    match name.split_once('-') {
        Some((version, namespace)) => Some((version.parse().ok()?, Some(namespace.parse().ok()?))),
        None => Some((name.parse().ok()?, None)),
    }
}

/// Whether the programs of a directory run, but not on the interface of that name in this network
/// namespace. Without links, as before kernel 6.6, the directory belongs to the interface if that
/// exists.
fn runs_elsewhere(home: &Path, dir: &Path) -> Result<bool, DatapathError> {
    let failed = |action| move |source| DatapathError::Pin { path: dir.to_owned(), action, source };
    let interface = home.file_name().unwrap_or_default().to_string_lossy();
    let mut has_links = false;
    for direction in Direction::BOTH {
        let Some(link) = link::pinned(&dir.join(direction.link())).map_err(failed("read"))? else {
            continue;
        };
        has_links = true;
        if link.is_alive() {
            return Ok(tcx::interface_of(&link, direction).map_err(failed("look up"))?.as_deref()
                != Some(&*interface));
        }
    }
    if has_links || tcx::index(&interface).map_err(failed("look up"))?.is_some() {
        return Ok(false);
    }
    let counts = MapInfo::from_pin(dir.join(COUNTERS.file(0))).ok().map(|info| info.id());
    let mut programs = loaded_programs().filter_map(Result::ok);
    Ok(counts.is_some_and(|counts| {
        programs
            .any(|program| program.map_ids().ok().flatten().unwrap_or_default().contains(&counts))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_s_name_has_version_and_network_namespace() {
        assert_eq!(parse("v1"), Some((1, None)));
        assert_eq!(parse("v12-4026531840"), Some((12, Some(4_026_531_840))));
        for other in ["", "v", "1", "v1-", "v-1", "vx", "events", "v1-2-3"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
