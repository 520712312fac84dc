//! What a person sees while something takes long: a spinner on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The spinners on the terminal: several things may go on at once.
static SPINNERS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes a line to standard error without tearing a spinner.
pub(crate) fn say(line: &str) {
    SPINNERS.suspend(|| eprintln!("{line}"));
}

/// One thing that is being done.
pub(crate) struct Step {
    what: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Step {
    /// Says on standard error that something begins.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let live = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let spinner = live.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style).with_message(what.clone());
            let bar = SPINNERS.add(bar);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if spinner.is_none() {
            say(&format!("{what} …"));
        }
        Self { what, started: Instant::now(), spinner }
    }

    /// Says what part of it is being done, or has been.
    pub(crate) fn tell(&mut self, part: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(part.to_owned()),
            None => say(&format!("{part} …")),
        }
    }

    /// Ends with a line that says how it went and how long it took.
    pub(crate) fn finish(self, outcome: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        say(&format!("{}: {outcome} ({seconds:.1} s)", self.what));
    }

    /// Ends without a word, before the thing itself begins to write.
    pub(crate) fn vanish(self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner
            && !spinner.is_finished()
        {
            spinner.finish_and_clear();
        }
    }
}
