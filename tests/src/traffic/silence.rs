use std::time::{Duration, Instant};

/// The longest time in which nothing arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    /// When something arrived last; `None` after the end.
    since: Option<Instant>,
    longest: Duration,
}

impl Silence {
    /// Nothing has arrived yet.
    pub(super) fn begin() -> Self {
        Self { since: Some(Instant::now()), longest: Duration::ZERO }
    }

    /// Something has arrived.
    pub(super) fn broken(&mut self) {
        let Some(since) = &mut self.since else { return };
        let now = Instant::now();
        self.longest = self.longest.max(now - *since);
        *since = now;
    }

    /// What arrives from now on does not matter.
    pub(super) fn end(&mut self) {
        self.broken();
        self.since = None;
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }
}
