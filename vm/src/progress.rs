//! Progress of long steps: spinners on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// All spinners, as several steps may run at once.
static SPINNERS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes a line to standard error, above the spinners.
pub fn say(line: &str) {
    SPINNERS.suspend(|| eprintln!("{line}"));
}

pub struct Step {
    what: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Step {
    pub fn start(what: impl Into<String>) -> Self {
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

    /// Replaces the text shown.
    pub fn show(&mut self, part: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(part.to_owned()),
            None => say(&format!("{part} …")),
        }
    }

    /// Prints the outcome and the time taken.
    pub fn finish(self, outcome: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        say(&format!("{}: {outcome} ({seconds:.1} s)", self.what));
    }

    /// Removes the spinner without printing an outcome.
    pub fn vanish(self) {
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
