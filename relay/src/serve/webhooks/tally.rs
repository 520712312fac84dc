use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::{model::WebhookName, stats::WebhookUse};

/// What became of the events of one webhook so far.
#[derive(Debug)]
pub(in crate::serve) struct Tally {
    name: WebhookName,
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) is_disabled: AtomicBool,
}

/// The tallies of all webhooks.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Tallies(watch::Receiver<Vec<Arc<Tally>>>);

impl Tally {
    pub(super) fn new(name: WebhookName) -> Self {
        Self {
            name,
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            is_disabled: AtomicBool::new(false),
        }
    }
}

impl Tallies {
    /// Those of no webhook, and who says of which there are some.
    pub(in crate::serve) fn new() -> (watch::Sender<Vec<Arc<Tally>>>, Self) {
        let (tallies, read) = watch::channel(Vec::new());
        (tallies, Self(read))
    }

    /// As they are now.
    pub(in crate::serve) fn read(&self) -> Vec<WebhookUse> {
        let of = |tally: &Arc<Tally>| WebhookUse {
            webhook: tally.name.to_string(),
            delivered: tally.delivered.load(Ordering::Relaxed),
            failed: tally.failed.load(Ordering::Relaxed),
            lost: tally.lost.load(Ordering::Relaxed),
            waiting: tally.waiting.load(Ordering::Relaxed),
            is_disabled: tally.is_disabled.load(Ordering::Relaxed),
        };
        self.0.borrow().iter().map(of).collect()
    }
}
