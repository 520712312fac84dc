use std::{collections::HashMap, fmt};

/// Lines that are listed after the first.
const LISTED: usize = 10;

/// A remark about one line of the hub file. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// The remark.
    pub text: String,
}

/// Collects remarks. Equal remarks about several lines are merged.
#[derive(Default)]
pub(super) struct Remarks {
    found: Vec<(String, Vec<usize>)>,
    /// Indices in `found` of remarks that may be merged.
    alike: HashMap<String, usize>,
    faults: Vec<Remark>,
}

impl Remarks {
    /// A remark about one line.
    pub(super) fn one(&mut self, line: usize, text: impl Into<String>) {
        self.found.push((text.into(), vec![line]));
    }

    /// A remark that is merged with equal ones.
    pub(super) fn alike(&mut self, line: usize, text: impl Into<String>) {
        let text = text.into();
        match self.alike.get(&text) {
            Some(&at) => self.found[at].1.push(line),
            None => {
                self.alike.insert(text.clone(), self.found.len());
                self.found.push((text, vec![line]));
            }
        }
    }

    /// An error.
    pub(super) fn fault(&mut self, line: usize, text: impl Into<String>) {
        self.faults.push(Remark { line, text: text.into() });
    }

    /// The remarks by line; those about the whole file come last.
    ///
    /// # Errors
    /// All errors, if there are any.
    pub(super) fn finish(mut self) -> Result<Vec<Remark>, Vec<Remark>> {
        if !self.faults.is_empty() {
            self.faults.sort();
            return Err(self.faults);
        }
        let mut remarks: Vec<Remark> = self.found.into_iter().map(once).collect();
        remarks.sort_by_key(|remark| (remark.line == 0, remark.line));
        Ok(remarks)
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

fn once((text, mut lines): (String, Vec<usize>)) -> Remark {
    lines.sort_unstable();
    lines.dedup();
    let (line, others) = lines.split_first().map_or((0, &[][..]), |(line, others)| (*line, others));
    let text = match others.len() {
        0 => text,
        _ => format!("{text} (also {})", listed(others)),
    };
    Remark { line, text }
}

/// `line 3`, or `lines 3, 4 and 5 more`.
fn listed(lines: &[usize]) -> String {
    let shown: Vec<String> = lines.iter().take(LISTED).map(ToString::to_string).collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    match lines.len().saturating_sub(LISTED) {
        0 => format!("{noun} {}", shown.join(", ")),
        more => format!("{noun} {} and {more} more", shown.join(", ")),
    }
}
