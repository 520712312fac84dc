use std::collections::HashSet;

use super::{
    fault::Fault,
    place::{Files, Place},
    problem::Problem,
};

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
