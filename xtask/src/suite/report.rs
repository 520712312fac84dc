//! The results of all tiers, as a table with a total.

use std::fmt::Write as _;
use std::ops::AddAssign;
use std::time::Duration;

use anyhow::Result;

use super::FLEET;

/// Numbers of tests or checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Counts {
    /// One check; prints the error of a failure.
    pub(crate) fn of(outcome: Result<()>) -> Self {
        match outcome {
            Ok(()) => Self { passed: 1, ..Self::default() },
            Err(error) => {
                eprintln!("{error:#}");
                Self { failed: 1, ..Self::default() }
            }
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) tier: u8,
    pub(crate) what: String,
    pub(crate) counts: Counts,
    pub(crate) took: Duration,
}

impl Row {
    /// A step that failed as a whole.
    pub(crate) fn failure(tier: u8, what: &str, took: Duration) -> Self {
        Self {
            tier,
            what: what.to_owned(),
            counts: Counts { failed: 1, ..Counts::default() },
            took,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds names of failed tests, listed above the table.
    pub(crate) fn name_failures(&mut self, what: &str, names: &[String]) {
        self.failures.extend(names.iter().map(|name| format!("{what}: {name}")));
    }

    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for row in &self.rows {
            total += row.counts;
        }
        total
    }

    /// The table; the total is the last line.
    pub(crate) fn render(&self) -> String {
        // Writing to a String cannot fail.
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0).max(4);
        let mut text = String::new();
        for failure in &self.failures {
            let _ = writeln!(text, "failed: {failure}");
        }
        let mut line = |tier: &str, what: &str, cells: [&str; 4]| {
            let [passed, failed, skipped, time] = cells;
            let _ = writeln!(
                text,
                "{tier:>5}  {what:<width$}  {passed:>6}  {failed:>6}  {skipped:>7}  {time:>8}"
            );
        };
        line("tier", "what", ["passed", "failed", "skipped", "time"]);
        for row in &self.rows {
            let Counts { passed, failed, skipped } = row.counts;
            line(
                &if row.tier == FLEET { "fleet".to_owned() } else { row.tier.to_string() },
                &row.what,
                [
                    &passed.to_string(),
                    &failed.to_string(),
                    &skipped.to_string(),
                    &format!("{:.1} s", row.took.as_secs_f64()),
                ],
            );
        }
        let Counts { passed, failed, skipped } = self.total();
        let _ = writeln!(text, "\n{passed} passed, {failed} failed, {skipped} skipped");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_total_is_last() {
        let mut report = Report::default();
        let counts = Counts { passed: 12, failed: 0, skipped: 1 };
        let took = Duration::from_millis(2340);
        report.push(Row { tier: 1, what: "unit and property tests".to_owned(), counts, took });
        report.push(Row::failure(3, "lab on 6.1", Duration::from_secs(100)));
        report.name_failures("lab on 6.1", &["one_to_many".to_owned()]);
        assert_eq!(
            report.render(),
            "failed: lab on 6.1: one_to_many\n\
             \x20tier  what                     passed  failed  skipped      time\n\
             \x20   1  unit and property tests      12       0        1     2.3 s\n\
             \x20   3  lab on 6.1                    0       1        0   100.0 s\n\
             \n\
             12 passed, 1 failed, 1 skipped\n"
        );
    }
}
