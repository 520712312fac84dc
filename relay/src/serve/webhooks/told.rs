use std::time::Duration;

use tokio::time::Instant;

/// What whoever runs the relay was told of a webhook, so that each change is told once.
#[derive(Debug, Default)]
pub(super) struct Told {
    is_failing: bool,
    at: Option<Instant>,
}

/// Between two times that failures are told. A receiver may fail with every other request.
const QUIET: Duration = Duration::from_secs(60);

impl Told {
    /// Whether to tell that it fails.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let is_quiet = self.at.is_none_or(|at| now.duration_since(at) >= QUIET);
        let is_news = !self.is_failing && is_quiet;
        if is_news {
            *self = Self { is_failing: true, at: Some(now) };
        }
        is_news
    }

    /// Whether to tell that it does not any more.
    pub(super) fn delivered(&mut self) -> bool {
        std::mem::take(&mut self.is_failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_fails_now_and_then_is_told_of_once_a_minute() {
        let start = Instant::now();
        let mut told = Told::default();
        let mut lines = Vec::new();
        for second in 0..121 {
            if told.failed(start + Duration::from_secs(second)) {
                lines.push((second, "fails"));
            }
            if second % 2 == 1 && told.delivered() {
                lines.push((second, "delivered"));
            }
        }
        let wanted =
            [(0, "fails"), (1, "delivered"), (60, "fails"), (61, "delivered"), (120, "fails")];
        assert_eq!(lines, wanted);
    }
}
