//! Parses the output of test programs (libtest's format).

use relay_vm::plain;

use super::report::Counts;

/// Reads the output of one test program.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    counts: Counts,
    skips: Vec<String>,
    failures: Vec<String>,
    in_failures: bool,
    finished: bool,
}

impl Reader {
    /// Reads a line; returns the text of a skip, if it is one.
    pub(crate) fn line(&mut self, line: &str) -> Option<&str> {
        let line = plain(line);
        // The names of failed tests follow this heading, indented.
        match line.strip_prefix("    ").filter(|_| self.in_failures) {
            Some(name) if !name.contains(' ') && !self.failures.iter().any(|f| f == name) => {
                self.failures.push(name.to_owned());
            }
            _ => self.in_failures = line == "failures:",
        }
        if let Some(summary) = line.strip_prefix("test result: ") {
            if let Some(counts) = parse_summary(summary) {
                self.counts += counts;
                self.finished = true;
            }
            return None;
        }
        // Without capture, the first output of a test follows its name.
        let skip = line.strip_prefix("SKIP ").or_else(|| {
            line.starts_with("test ").then(|| line.split_once(" ... SKIP "))?.map(|s| s.1)
        })?;
        self.skips.push(skip.to_owned());
        self.skips.last().map(String::as_str)
    }

    /// Names of the failed tests.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The counts. A program without a summary or with a bad exit code counts as a failure.
    pub(crate) fn finish(self, code: i32) -> Counts {
        let mut counts = self.counts;
        // libtest counts a skipped test as passed.
        let skips = self.skips.len().min(counts.passed);
        counts.passed -= skips;
        counts.skipped += skips;
        if (code != 0 || !self.finished) && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }
}

/// Parses `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; …`.
fn parse_summary(summary: &str) -> Option<Counts> {
    let (_, numbers) = summary.split_once(". ")?;
    let number = |name: &str| {
        numbers.split("; ").find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok())
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], code: i32) -> Counts {
        let mut reader = Reader::default();
        for line in lines {
            reader.line(line);
        }
        reader.finish(code)
    }

    const SUMMARY: &str = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s";

    #[test]
    fn a_summary_is_counted() {
        assert_eq!(read(&[SUMMARY], 0), Counts { passed: 3, failed: 0, skipped: 1 });
    }

    #[test]
    fn skips_are_taken_from_what_passed() {
        let lines =
            ["test nat ... SKIP nat: missing WireGuard", "ok", "SKIP x: missing y", SUMMARY];
        assert_eq!(read(&lines, 0), Counts { passed: 1, failed: 0, skipped: 3 });
        let mut reader = Reader::default();
        assert_eq!(reader.line("SKIP x: missing y"), Some("x: missing y"));
        assert_eq!(reader.line("we SKIP nothing"), None);
    }

    #[test]
    fn failed_tests_are_named_once() {
        let mut reader = Reader::default();
        let lines =
            "failures:\n\n---- a::b stdout ----\n    indented\n\nfailures:\n    a::b\n    c\n\n";
        for line in lines.lines() {
            reader.line(line);
        }
        assert_eq!(reader.failures(), ["a::b", "c"]);
    }

    #[test]
    fn colours_do_not_matter() {
        let line =
            "test result: \x1b[31mFAILED\x1b(B\x1b[m. 1 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(read(&[line], 101), Counts { passed: 1, failed: 2, skipped: 0 });
    }

    #[test]
    fn a_program_that_dies_counts_as_failed() {
        assert_eq!(read(&["test a ... ok"], 139).failed, 1);
        assert_eq!(read(&[], 0).failed, 1);
    }
}
