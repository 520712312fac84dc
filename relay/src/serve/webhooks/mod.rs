//! Events, sent to servers by signed requests (<https://www.standardwebhooks.com>), on a thread of
//! their own, so that no server holds up whoever reads or answers.

mod delivery;
mod inbox;
mod message;
mod pace;
mod post;
mod queue;
mod signature;
mod tally;
mod told;
mod trial;
mod trust;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{broadcast, watch},
    task::{JoinSet, LocalSet},
    time::timeout,
};

use super::configuration::Configured;
use crate::{
    engine::{Event, Notice},
    model::{Webhook, WebhookName},
};
use delivery::Delivery;
use inbox::Inbox;
use message::Ids;
use pace::Pace;
use post::Client;
pub use post::PostError;
use queue::Queue;
pub(super) use tally::Tallies;
use tally::Tally;
pub use trial::{Tried, UnknownWebhook, try_webhook};
pub use trust::TrustError;

/// The thread that delivers to webhooks.
pub(super) struct Webhooks {
    ending: watch::Sender<()>,
    thread: thread::JoinHandle<()>,
    tallies: Tallies,
}

/// Time to deliver what waits when the process ends.
const LAST_TRY: Duration = Duration::from_secs(5);

impl Webhooks {
    /// Starts the thread. Dropped, it ends as with [`Self::finish`], without waiting.
    ///
    /// # Errors
    /// The system starts no thread, or has no random numbers.
    pub(super) fn start(
        events: broadcast::Sender<Arc<Event>>,
        configured: Configured,
        notice: Notice,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let ids = Arc::new(Ids::new()?);
        let (ending, ended) = watch::channel(());
        let (tally, tallies) = Tallies::new();
        let deliver = move || {
            let webhooks = BTreeMap::new();
            let running = Running { ids, events, ended, tally, notice, webhooks };
            LocalSet::new().block_on(&runtime, running.deliver(configured));
            // A look-up of a name may take its time.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("webhooks".to_owned()).spawn(deliver)?;
        Ok(Self { ending, thread, tallies })
    }

    /// What became of events.
    pub(super) fn tallies(&self) -> Tallies {
        self.tallies.clone()
    }

    /// Tries for a short time to deliver what waits.
    pub(super) fn finish(self) {
        drop(self.ending);
        // A thread that panicked has said so.
        drop(self.thread.join());
    }
}

/// The webhooks that are delivered to.
struct Running {
    ids: Arc<Ids>,
    events: broadcast::Sender<Arc<Event>>,
    ended: watch::Receiver<()>,
    tally: watch::Sender<Vec<Arc<Tally>>>,
    notice: Notice,
    /// A webhook is removed by dropping its settings.
    webhooks: BTreeMap<WebhookName, (watch::Sender<Webhook>, Arc<Tally>)>,
}

impl Running {
    async fn deliver(mut self, mut configured: Configured) {
        let mut tasks = JoinSet::new();
        loop {
            let relay = configured.borrow_and_update().clone();
            self.follow(relay.as_ref().map_or(&[], |relay| &relay.webhooks), &mut tasks);
            tokio::select! {
                _ = self.ended.changed() => break,
                changed = configured.changed() => if changed.is_err() {
                    break;
                },
            }
        }
        drop(timeout(LAST_TRY, tasks.join_all()).await);
        for (name, (_, tally)) in &self.webhooks {
            let waiting = tally.waiting.load(Ordering::Relaxed);
            if waiting > 0 {
                (self.notice)(&format!("webhook {name}: {waiting} events were not delivered"));
            }
        }
    }

    /// Starts, changes and removes webhooks, so that they are as configured.
    fn follow(&mut self, configured: &[Webhook], tasks: &mut JoinSet<()>) {
        while tasks.try_join_next().is_some() {}
        let is_configured = |name: &WebhookName| configured.iter().any(|it| it.name == *name);
        self.webhooks.retain(|name, _| is_configured(name));
        for webhook in configured {
            if let Some((settings, _)) = self.webhooks.get(&webhook.name) {
                settings.send_if_modified(|settings| {
                    let is_changed = settings != webhook;
                    settings.clone_from(webhook);
                    is_changed
                });
                continue;
            }
            let name = webhook.name.clone();
            let tally = Arc::new(Tally::new(name.clone()));
            let (settings, read) = watch::channel(webhook.clone());
            let queue = Queue::new(Arc::clone(&self.ids));
            let (events, ended) = (self.events.clone(), self.ended.clone());
            let inbox = Inbox::new(read, events, ended, queue, Arc::clone(&tally));
            let (client, counted) = (Client::default(), Arc::clone(&tally));
            let delivery = Delivery::new(inbox, client, Pace::DEFAULT, counted, self.notice);
            tasks.spawn_local(delivery.run());
            self.webhooks.insert(name, (settings, tally));
        }
        self.tally
            .send_replace(self.webhooks.values().map(|(_, tally)| Arc::clone(tally)).collect());
    }
}

#[cfg(test)]
mod tests;
