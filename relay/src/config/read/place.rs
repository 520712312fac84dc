use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    path::PathBuf,
};

use super::{fault::Fault, problem::Problem, source::Source};

/// A position: a file by its number, and a byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// A value with its position.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A position as file, line and column.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Location {
    pub(super) fn problem(&self, key: impl Into<String>, fault: Fault) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            key: key.into(),
            problem: fault.problem,
            remedy: fault.remedy,
            is_denied: fault.is_denied,
        }
    }
}

/// Turns places into locations.
pub(super) struct Files<'s> {
    files: Vec<File<'s>>,
}

struct File<'s> {
    source: &'s Source,
    text: &'s str,
    is_ascii: bool,
    /// Byte offset of each line.
    lines: Vec<usize>,
}

impl<'s> Files<'s> {
    pub(super) fn new(sources: &'s [Source]) -> Self {
        let files = sources.iter().map(|source| {
            let text = source.text.as_deref().unwrap_or_default();
            let starts = text.match_indices('\n').map(|(at, _)| at + 1);
            let lines = std::iter::once(0).chain(starts).collect();
            File { source, text, is_ascii: text.is_ascii(), lines }
        });
        Self { files: files.collect() }
    }

    /// Values that are there before, and where they are first.
    pub(super) fn repeated<'n, T: Eq + Hash>(
        &self,
        values: impl Iterator<Item = &'n Located<T>>,
    ) -> Vec<(&'n Located<T>, String)> {
        let mut first: HashMap<&T, Place> = HashMap::new();
        let mut repeated = Vec::new();
        for value in values {
            match first.entry(&value.value) {
                Entry::Vacant(entry) => {
                    entry.insert(value.place);
                }
                Entry::Occupied(entry) => repeated.push((value, self.file_and_line(*entry.get()))),
            }
        }
        repeated
    }

    pub(super) fn locate(&self, place: Place) -> Location {
        let file = &self.files[place.file];
        let line = file.lines.partition_point(|&start| start <= place.offset);
        let start = file.lines[line - 1];
        let before = file.text.get(start..place.offset).unwrap_or_default();
        let column = if file.is_ascii { before.len() } else { before.chars().count() } + 1;
        Location { file: file.source.path.clone(), line, column }
    }

    /// `file:line`, for a second place in one message.
    pub(super) fn file_and_line(&self, place: Place) -> String {
        let file = &self.files[place.file];
        let line = file.lines.partition_point(|&start| start <= place.offset);
        format!("{}:{line}", file.source.path.display())
    }
}
