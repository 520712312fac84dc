use std::collections::HashSet;

use super::{
    fault::Fault,
    place::{Files, Place},
    problem::Problem,
};

/// Decides which findings a syntax error hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A syntax error, or a file that cannot be read.
    Unreadable,
    /// Something in the file is wrong.
    Present,
    /// Something is missing, or belongs elsewhere.
    Misplaced,
}

struct Finding {
    kind: Kind,
    place: Place,
    key: String,
    fault: Fault,
}

/// Collects problems.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    pub(super) fn present(&mut self, place: Place, key: impl Into<String>, fault: Fault) {
        self.found.push(Finding { kind: Kind::Present, place, key: key.into(), fault });
    }

    /// For what a syntax error in the file may have caused.
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
    /// A syntax error hides what it may have caused: other findings on its line, and in its file
    /// everything missing or misplaced.
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
