//! What another version of relay has pinned for the same interface. It is ours: links, and maps
//! that are laid out as here, are taken over; the rest goes.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use aya::{maps::MapInfo, programs::loaded_programs};

use super::{DatapathError, Direction, Pins, counters, events, guard, link, pairs, slots, tcx};

/// A directory of pins that another version made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heritage {
    dir: PathBuf,
    counts_go_on: bool,
}

impl fmt::Display for Heritage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = if self.counts_go_on { "go on" } else { "end, since they do not fit here" };
        write!(f, "~ pins in {}: taken over; counters {counters}", self.dir.display())
    }
}

impl Heritage {
    /// What is told of a directory before it is taken over.
    pub(super) fn of(pins: &Pins, dir: &Path) -> Result<Self, DatapathError> {
        let is_count = |name: &&String| {
            ["slots", "counters_", "refused_"].iter().any(|count| name.starts_with(count))
        };
        let names = list(dir)?;
        let mut counts = names.iter().filter(is_count);
        let counts_go_on = counts.all(|name| pins.inherits(name, &dir.join(name)));
        Ok(Self { dir: dir.to_owned(), counts_go_on })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The directories of other versions beside `own`, the latest first, that belong to this network
/// namespace. Early versions did not tell namespaces apart: what they pinned is another
/// namespace's if it runs, and not here.
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

/// Whether a map that another version pinned under this name serves as this version's. What the
/// guard keeps in mind for minutes only, in a form that is its own, never does.
pub(super) fn serves(name: &str, path: &Path) -> bool {
    let shape = match name {
        "slots" => slots::SHAPE,
        "events" => events::EVENTS_SHAPE,
        "event_count" => events::COUNT_SHAPE,
        "pairs" => pairs::SHAPE,
        "guard_counts" => match guard::counts_shape() {
            Ok(shape) => shape,
            Err(_unknown) => return false,
        },
        name if name.starts_with("counters_") => counters::COUNTERS_SHAPE,
        name if name.starts_with("refused_") => counters::refused_shape(path),
        _ => return false,
    };
    MapInfo::from_pin(path).is_ok_and(|info| shape.is_of(&info))
}

/// The names in a directory, sorted; none when it is not there.
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

/// `v2-4026531840` → version 2 of that network namespace; `v1` → version 1 of one that is not told.
fn parse(name: &str) -> Option<(u32, Option<u64>)> {
    let name = name.strip_prefix('v')?;
    match name.split_once('-') {
        Some((version, namespace)) => Some((version.parse().ok()?, Some(namespace.parse().ok()?))),
        None => Some((name.parse().ok()?, None)),
    }
}

/// Whether what is pinned there runs, but not on the interface of that name in this network
/// namespace. Without links, as before kernel 6.6, it is the interface's if there is one.
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
            return Ok(tcx::seat(&link, direction).map_err(failed("look up"))?.as_deref()
                != Some(&*interface));
        }
    }
    if has_links || tcx::index(&interface).map_err(failed("look up"))?.is_some() {
        return Ok(false);
    }
    let counts = MapInfo::from_pin(dir.join("counters_0")).ok().map(|info| info.id());
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
    fn a_directory_tells_version_and_network_namespace() {
        assert_eq!(parse("v1"), Some((1, None)));
        assert_eq!(parse("v12-4026531840"), Some((12, Some(4_026_531_840))));
        for other in ["", "v", "1", "v1-", "v-1", "vx", "events", "v1-2-3"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
