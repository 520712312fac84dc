use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::message::{Ids, Message};
use crate::engine::Event;

/// Events that wait for one webhook, in their order. The oldest make room for new ones, and an event
/// `lost` takes the place of those that did.
pub(super) struct Queue {
    ids: Arc<Ids>,
    /// What is tried.
    current: Option<Message>,
    waiting: VecDeque<Message>,
    /// Events that were dropped from between the two, and their relay's interface.
    gap: Option<(u64, String)>,
    /// Events that were ever dropped.
    lost: u64,
}

/// Events that wait behind the one that is tried.
pub(super) const WAITING_MAX: usize = 1024;

/// How long an event may wait.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Queue {
    pub(super) fn new(ids: Arc<Ids>) -> Self {
        Self { ids, current: None, waiting: VecDeque::new(), gap: None, lost: 0 }
    }

    /// Puts an event behind all others.
    pub(super) fn push(&mut self, event: Arc<Event>, now: Instant) {
        if self.waiting.len() >= WAITING_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.lose(&oldest.event);
        }
        self.waiting.push_back(Message { id: self.ids.next(), event, since: now });
    }

    /// What to try now: the same until it is [`Self::delivered`], or [`Self::failed`] for too long.
    pub(super) fn head(&mut self, now: Instant) -> Option<&Message> {
        if self.current.is_none() {
            while self.waiting.front().is_some_and(|oldest| is_old(oldest, now)) {
                if let Some(oldest) = self.waiting.pop_front() {
                    self.lose(&oldest.event);
                }
            }
            self.current = match self.gap.take() {
                Some((count, interface)) => {
                    let event = Arc::new(Event::lost(&interface, count));
                    Some(Message { id: self.ids.next(), event, since: now })
                }
                None => self.waiting.pop_front(),
            };
        }
        self.current.as_ref()
    }

    /// Takes away what was tried.
    pub(super) fn delivered(&mut self) {
        self.current = None;
    }

    /// Gives up what was tried if it has waited for too long.
    pub(super) fn failed(&mut self, now: Instant) {
        if let Some(old) = self.current.take_if(|current| is_old(current, now)) {
            self.lose(&old.event);
        }
    }

    /// Drops everything, without telling.
    pub(super) fn clear(&mut self) {
        let all = self.current.take().into_iter().chain(self.waiting.drain(..));
        let dropped: u64 = all.map(|message| message.event.stands_for()).sum();
        self.lost += dropped;
        self.gap = None;
    }

    /// How many wait, the one that is tried included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// Events that were ever dropped.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    fn lose(&mut self, event: &Event) {
        let count = event.stands_for();
        self.lost += count;
        let before = self.gap.take().map_or(0, |(before, _)| before);
        self.gap = Some((before + count, event.interface().to_owned()));
    }
}

fn is_old(message: &Message, now: Instant) -> bool {
    now.duration_since(message.since) >= LIFETIME
}
