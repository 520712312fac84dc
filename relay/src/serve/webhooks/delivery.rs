use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::{
    inbox::{Inbox, News},
    pace::Pace,
    post::{Answer, Post, PostError},
    tally::Tally,
    told::Told,
};
use crate::engine::{Notice, chain};

/// Delivers to one webhook, one event after the other.
pub(super) struct Delivery<P> {
    inbox: Inbox,
    post: P,
    pace: Pace,
    /// In a row.
    failures: u32,
    /// When to try again, if it failed.
    again: Option<Instant>,
    told: Told,
    tally: Arc<Tally>,
    notice: Notice,
}

impl<P: Post> Delivery<P> {
    pub(super) fn new(
        inbox: Inbox,
        post: P,
        pace: Pace,
        tally: Arc<Tally>,
        notice: Notice,
    ) -> Self {
        Self { inbox, post, pace, failures: 0, again: None, told: Told::default(), tally, notice }
    }

    /// Delivers until the webhook is removed or the process ends; then it tries each event that still
    /// waits once, until one fails.
    pub(super) async fn run(mut self) {
        loop {
            match self.step().await {
                News::Event => {}
                News::Settings => self.settings_changed(),
                News::Removed => return,
                News::End => break,
            }
        }
        self.inbox.take_rest();
        while let Some(message) = self.inbox.head() {
            let webhook = self.inbox.webhook();
            let outcome = self.post.post(&webhook, &message).await;
            if !self.conclude(outcome) {
                return;
            }
        }
    }

    /// Tries an event, or waits for one.
    async fn step(&mut self) -> News {
        let Some(message) = self.inbox.head() else { return self.inbox.news().await };
        let webhook = self.inbox.webhook();
        let Self { inbox, post, again, .. } = self;
        let attempt = async {
            if let Some(again) = *again {
                sleep_until(again).await;
            }
            post.post(&webhook, &message).await
        };
        match inbox.meanwhile(attempt).await {
            Ok(outcome) => {
                self.conclude(outcome);
                News::Event
            }
            Err(news) => news,
        }
    }

    /// Whatever was wrong may be right now.
    fn settings_changed(&mut self) {
        self.failures = 0;
        self.again = None;
        self.tally.is_disabled.store(false, Ordering::Relaxed);
        self.inbox.open();
    }

    /// Draws the consequences of a try. Returns whether it was a success.
    fn conclude(&mut self, outcome: Result<Answer, PostError>) -> bool {
        let webhook = self.inbox.webhook();
        let (why, asked) = match &outcome {
            Ok(Answer { status, .. }) if status.is_success() => {
                self.tally.delivered.fetch_add(1, Ordering::Relaxed);
                self.inbox.delivered();
                self.failures = 0;
                self.again = None;
                if self.told.delivered() {
                    (self.notice)(&format!("webhook {}: delivered again", webhook.name));
                }
                return true;
            }
            Ok(Answer { status, retry_after }) => {
                (format!("{} answered {status}", webhook.url), *retry_after)
            }
            Err(error) => (chain(error), None),
        };
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        if matches!(&outcome, Ok(answer) if answer.status == StatusCode::GONE) {
            self.inbox.close();
            self.tally.is_disabled.store(true, Ordering::Relaxed);
            (self.notice)(&format!(
                "webhook {}: {why}, so it is sent nothing until its settings change",
                webhook.name
            ));
            return false;
        }
        self.inbox.failed();
        self.wait(asked);
        tracing::debug!("webhook {}: failure {}: {why}", webhook.name, self.failures);
        if self.told.failed(Instant::now()) {
            (self.notice)(&format!(
                "webhook {}: not delivered, and tried again: {why}",
                webhook.name
            ));
        }
        false
    }

    fn wait(&mut self, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        // Without random numbers, all wait alike.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        self.again = Some(Instant::now() + self.pace.delay(self.failures, random, asked));
    }
}
