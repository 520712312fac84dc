use std::{collections::HashSet, io, path::PathBuf};

use super::{Problem, Source};

/// Where something stands: a file by its number, and the byte in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What is wrong with one value, and what to write instead. It never holds what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct Fault {
    pub(super) problem: String,
    pub(super) remedy: String,
    /// Whether the system kept this process from reading it.
    pub(super) is_denied: bool,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), is_denied: false }
    }

    /// For what could not be read: `what` names it where the place does not. Who may not read it is
    /// told to be somebody who may, never to open it to others.
    pub(super) fn unread(what: &str, error: &io::Error, remedy: &str) -> Self {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let remedy = if is_denied { "run this as root" } else { remedy };
        Self { is_denied, ..Self::new(format!("{what}cannot be read: {error}"), remedy) }
    }

    /// Whether the system kept this process from reading something.
    pub const fn is_denied(&self) -> bool {
        self.is_denied
    }
}

/// A place as people read it.
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

/// The files, for turning places into lines and columns.
pub(super) struct Files<'s> {
    files: Vec<File<'s>>,
}

struct File<'s> {
    source: &'s Source,
    text: &'s str,
    is_ascii: bool,
    /// Byte at which each line starts.
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

    pub(super) fn locate(&self, place: Place) -> Location {
        let file = &self.files[place.file];
        let line = file.lines.partition_point(|&start| start <= place.offset);
        let start = file.lines[line - 1];
        let before = file.text.get(start..place.offset).unwrap_or_default();
        let column = if file.is_ascii { before.len() } else { before.chars().count() } + 1;
        Location { file: file.source.path.clone(), line, column }
    }

    /// `file:line`, for naming a second place within a problem.
    pub(super) fn file_and_line(&self, place: Place) -> String {
        let file = &self.files[place.file];
        let line = file.lines.partition_point(|&start| start <= place.offset);
        format!("{}:{line}", file.source.path.display())
    }
}

/// Why a problem was found, which decides whether it stands beside a syntax error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The file is not TOML there, or cannot be read.
    Unreadable,
    /// Something that stands in the file is wrong.
    Present,
    /// Something that should be there is not, or belongs elsewhere.
    Misplaced,
}

struct Finding {
    kind: Kind,
    place: Place,
    key: String,
    fault: Fault,
}

/// Problems while they are collected.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    pub(super) fn present(&mut self, place: Place, key: impl Into<String>, fault: Fault) {
        self.found.push(Finding { kind: Kind::Present, place, key: key.into(), fault });
    }

    /// For what would be put down to a syntax error, if there is one in the file.
    pub(super) fn misplaced(&mut self, place: Place, key: impl Into<String>, fault: Fault) {
        self.found.push(Finding { kind: Kind::Misplaced, place, key: key.into(), fault });
    }

    pub(super) fn unreadable(&mut self, place: Place, key: impl Into<String>, fault: Fault) {
        self.found.push(Finding { kind: Kind::Unreadable, place, key: key.into(), fault });
    }

    /// Whether a file could not be read to its end.
    pub(super) fn any_unreadable(&self) -> bool {
        self.found.iter().any(|finding| finding.kind == Kind::Unreadable)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems in the order of the files and the text.
    ///
    /// A syntax error hides what follows from it: other findings of its line, and in its file
    /// everything said to be missing or misplaced, since a part could not be read.
    pub(super) fn into_problems(mut self, files: &Files<'_>) -> Vec<Problem> {
        self.found.sort_by_key(|finding| finding.place);
        let unreadable = |finding: &&Finding| finding.kind == Kind::Unreadable;
        let mut bad_files = HashSet::new();
        let mut bad_lines = HashSet::new();
        for finding in self.found.iter().filter(unreadable) {
            bad_files.insert(finding.place.file);
            bad_lines.insert((finding.place.file, files.locate(finding.place).line));
        }
        let mut shown_lines = HashSet::new();
        let mut problems = Vec::new();
        for Finding { kind, place, key, fault } in self.found {
            let location = files.locate(place);
            let line = (place.file, location.line);
            let stands = match kind {
                Kind::Unreadable => shown_lines.insert(line),
                Kind::Present => !bad_lines.contains(&line),
                Kind::Misplaced => !bad_files.contains(&place.file),
            };
            if stands {
                problems.push(location.problem(key, fault));
            }
        }
        problems
    }
}
