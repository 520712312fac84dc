use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

/// A line on standard error that tells how far something is, if that is a terminal.
pub(super) struct Progress {
    is_shown: bool,
    said: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), said: false }
    }

    /// Replaces the line.
    pub(super) fn say(&mut self, line: impl Display) {
        if self.is_shown {
            self.said = true;
            // Carriage return, and ECMA-48's erasure to the end of the line.
            drop(write!(io::stderr(), "\r{line}\x1b[K"));
        }
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.said) {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
