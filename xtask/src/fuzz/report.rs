//! What libFuzzer prints, and what all targets did, as a table.

use std::fmt::Write as _;

/// Lines that are kept of what it prints.
const KEPT: usize = 60;

/// What libFuzzer has printed.
#[derive(Debug, Default)]
pub(super) struct Output {
    lines: Vec<String>,
    executions: Option<u64>,
    rate: Option<u64>,
    input: Option<String>,
}

impl Output {
    pub(super) fn line(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse().ok();
        if let Some((count, rest)) = line.strip_prefix('#').and_then(|line| line.split_once('\t'))
            && let Some(count) = number(count)
        {
            self.executions = Some(count);
            let rate = rest.split_once("exec/s: ").and_then(|(_, rate)| rate.split(' ').next());
            self.rate = rate.and_then(number).or(self.rate);
            return;
        }
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number(count);
        } else if let Some(rate) = line.strip_prefix("stat::average_exec_per_sec:") {
            self.rate = number(rate);
        } else if let Some((_, input)) = line.split_once("Test unit written to ") {
            self.input = Some(input.to_owned());
        }
        if self.lines.len() == KEPT {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// So far.
    pub(super) const fn executions(&self) -> Option<u64> {
        self.executions
    }

    /// Executions a second.
    pub(super) const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// The file with the input that did not pass.
    pub(super) fn input(&self) -> Option<&str> {
        self.input.as_deref()
    }

    pub(super) fn last(&self) -> &str {
        self.lines.last().map_or("", String::as_str)
    }

    /// What it printed last, without progress.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// How a target ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Crashed,
    /// The machine lacks this.
    Skipped(String),
}

impl Outcome {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "no crash",
            Self::Crashed => "CRASHED",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// What one target did.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) target: String,
    pub(super) executions: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) new: usize,
    pub(super) outcome: Outcome,
}

/// What all did.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Targets with a crash.
    pub(crate) fn crashes(&self) -> usize {
        self.0.iter().filter(|row| row.outcome == Outcome::Crashed).count()
    }

    /// The table.
    pub(crate) fn render(&self) -> String {
        let number =
            |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let mut text = String::new();
        let mut line = |target: &str, cells: [&str; 3], outcome: &str| {
            let [executions, rate, new] = cells;
            // A string takes everything.
            let _ = writeln!(text, "{target:<10} {executions:>12} {rate:>8} {new:>10}  {outcome}");
        };
        line("target", ["executions", "a second", "new inputs"], "");
        for Row { target, executions, rate, new, outcome } in &self.0 {
            let cells = [number(*executions), number(*rate), new.to_string()];
            line(target, cells.each_ref().map(String::as_str), outcome.word());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_the_input_are_read() {
        let mut output = Output::default();
        for line in [
            "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 44Mb",
            "#4096\tpulse  cov: 5 ft: 6 corp: 2/3b lim: 4 exec/s: 2048 rss: 44Mb",
            "thread 'main' panicked at somewhere",
        ] {
            output.line(line);
        }
        assert_eq!((output.executions(), output.rate()), (Some(4096), Some(2048)));
        assert_eq!(output.text(), "thread 'main' panicked at somewhere");
        for line in [
            "artifact_prefix='/t/'; Test unit written to /t/crash-1",
            "stat::number_of_executed_units: 5000",
            "stat::average_exec_per_sec:     2500",
        ] {
            output.line(line);
        }
        assert_eq!((output.executions(), output.rate()), (Some(5000), Some(2500)));
        assert_eq!(output.input(), Some("/t/crash-1"));
    }

    #[test]
    fn the_table_has_a_line_for_each_target_and_counts_crashes() {
        let row = |target: &str, outcome| Row {
            target: target.to_owned(),
            executions: Some(10),
            rate: None,
            new: 3,
            outcome,
        };
        let skipped = Outcome::Skipped("user id 0".to_owned());
        let report = Report(vec![
            row("config", Outcome::Passed),
            row("http", Outcome::Crashed),
            row("inner", skipped),
        ]);
        assert_eq!(report.crashes(), 1);
        assert_eq!(
            report.render(),
            "target       executions a second new inputs  \n\
             config               10        -          3  no crash\n\
             http                 10        -          3  CRASHED\n\
             inner                10        -          3  skipped\n"
        );
    }
}
