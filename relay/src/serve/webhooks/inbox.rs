use std::{
    future::pending,
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::Instant,
};

use super::{message::Message, queue::Queue, tally::Tally};
use crate::{engine::Event, model::Webhook};

/// What comes to one webhook: its events, which it queues, changes of its settings, and the end.
pub(super) struct Inbox {
    settings: watch::Receiver<Webhook>,
    feed: broadcast::Sender<Arc<Event>>,
    /// `None`: it is told nothing.
    events: Option<broadcast::Receiver<Arc<Event>>>,
    /// Its sender is dropped at the end.
    ending: watch::Receiver<()>,
    queue: Queue,
    tally: Arc<Tally>,
}

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// An event, which may be one that it did not ask for.
    Event,
    /// Other settings.
    Settings,
    /// It is no longer configured.
    Removed,
    /// The process ends.
    End,
}

impl Inbox {
    pub(super) fn new(
        settings: watch::Receiver<Webhook>,
        feed: broadcast::Sender<Arc<Event>>,
        ending: watch::Receiver<()>,
        queue: Queue,
        tally: Arc<Tally>,
    ) -> Self {
        let events = Some(feed.subscribe());
        Self { settings, feed, events, ending, queue, tally }
    }

    /// Its settings now.
    pub(super) fn webhook(&self) -> Webhook {
        self.settings.borrow().clone()
    }

    /// What to try now.
    pub(super) fn head(&mut self) -> Option<Message> {
        self.change(|queue, now| queue.head(now).cloned())
    }

    /// What was tried is delivered.
    pub(super) fn delivered(&mut self) {
        self.change(|queue, _| queue.delivered());
    }

    /// What was tried is not.
    pub(super) fn failed(&mut self) {
        self.change(Queue::failed);
    }

    /// Drops all events, and takes no more.
    pub(super) fn close(&mut self) {
        self.events = None;
        self.change(|queue, _| queue.clear());
    }

    /// Takes events, from now on if it took none.
    pub(super) fn open(&mut self) {
        self.events.get_or_insert_with(|| self.feed.subscribe());
    }

    /// Takes what is there already, and nothing later.
    pub(super) fn take_rest(&mut self) {
        let Some(mut events) = self.events.take() else { return };
        while let Ok(event) = events.try_recv() {
            self.take(event);
        }
    }

    /// Waits until something comes. What comes stays if this is dropped.
    pub(super) async fn news(&mut self) -> News {
        let received = tokio::select! {
            biased;
            _ = self.ending.changed() => return News::End,
            changed = self.settings.changed() => {
                return if changed.is_ok() { News::Settings } else { News::Removed };
            }
            received = receive(&mut self.events) => received,
        };
        match received {
            Ok(event) => self.take(event),
            Err(RecvError::Lagged(count)) => self.push(Arc::new(Event::lost("", count))),
            // It has a sender itself.
            Err(RecvError::Closed) => return News::End,
        }
        News::Event
    }

    /// Does something, and takes events meanwhile.
    ///
    /// # Errors
    /// What came instead.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, News> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                news = self.news() => if news != News::Event {
                    return Err(news);
                },
            }
        }
    }

    fn take(&mut self, event: Arc<Event>) {
        let is_wanted = |asked| self.settings.borrow().events.contains(&asked);
        if event.asked().is_none_or(is_wanted) {
            self.push(event);
        }
    }

    fn push(&mut self, event: Arc<Event>) {
        self.change(|queue, now| queue.push(event, now));
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Queue, Instant) -> T) -> T {
        let changed = change(&mut self.queue, Instant::now());
        self.tally.waiting.store(self.queue.len() as u64, Ordering::Relaxed);
        self.tally.lost.store(self.queue.lost(), Ordering::Relaxed);
        changed
    }
}

async fn receive(
    events: &mut Option<broadcast::Receiver<Arc<Event>>>,
) -> Result<Arc<Event>, RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => pending().await,
    }
}
