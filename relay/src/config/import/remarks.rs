use std::{collections::HashMap, fmt};

/// Lines that are told after the first.
const LISTED: usize = 10;

/// Something about one line of the hub's file. It never holds the line's value where that may be
/// a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line, from 1; 0 for what no line says.
    pub line: usize,
    /// What is to be known about it.
    pub text: String,
}

/// Remarks while they are collected. What is true of many lines is said once, at the first.
#[derive(Default)]
pub(super) struct Remarks {
    found: Vec<(String, Vec<usize>)>,
    /// Places in `found` of what may be true of more lines.
    alike: HashMap<String, usize>,
    faults: Vec<Remark>,
}

impl Remarks {
    /// Something about one line.
    pub(super) fn one(&mut self, line: usize, text: impl Into<String>) {
        self.found.push((text.into(), vec![line]));
    }

    /// Something that may be true of other lines too.
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

    /// Something for which there is no configuration.
    pub(super) fn fault(&mut self, line: usize, text: impl Into<String>) {
        self.faults.push(Remark { line, text: text.into() });
    }

    /// The remarks in the order of their lines; what no line says comes last.
    ///
    /// # Errors
    /// The faults, if there are any.
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
