use std::{io, sync::Arc, thread, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio::{
    runtime,
    sync::{Notify, broadcast, mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    configuration::{Configuration, Configured},
    failure::Failure,
    recording::Recording,
};
use crate::engine::{Event, EventReader, Look, Result, Sight};

/// The thread that reads the kernel. Whoever wants something asks it; it answers one after the
/// other, so however many ask, they keep one processor busy at most.
#[derive(Clone)]
pub(super) struct Reader {
    questions: mpsc::Sender<Question>,
    watched: Arc<watch::Sender<Watched>>,
    events: broadcast::Sender<Arc<Event>>,
    end: Arc<Notify>,
    configured: Configured,
}

type Question = Box<dyn for<'a> FnOnce(&'a mut Sight) -> LocalBoxFuture<'a, ()> + Send>;

/// What was read last for those who watch; `None` at first.
pub(super) type Watched = Option<Result<Arc<Look>, Failure>>;

/// Questions that wait.
const WAITING: usize = 32;

/// Events that wait for whoever follows them.
const EVENTS: usize = 1024;

/// Between two samples of the history: its finest steps.
const BETWEEN_SAMPLES: Duration = Duration::from_secs(10);

/// Between two reads for those who watch.
const BETWEEN: Duration = Duration::from_secs(1);

/// For the last sample, which others' use of the file may delay.
const ENDING: Duration = Duration::from_secs(10);

impl Reader {
    /// Starts the thread, which also records the history if `records`. It ends with the last clone of
    /// this.
    ///
    /// # Errors
    /// The system starts no thread, or gives it no runtime.
    pub(super) fn start(sight: Sight, records: bool) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (questions, asked) = mpsc::channel(WAITING);
        let (watched, _) = watch::channel(None);
        let watched = Arc::new(watched);
        let (events, _) = broadcast::channel(EVENTS);
        let (configuration, configured) = Configuration::new();
        let end = Arc::new(Notify::new());
        let reader = Self {
            questions,
            watched: Arc::clone(&watched),
            events: events.clone(),
            end: Arc::clone(&end),
            configured,
        };
        let told = Told { watched, events, configuration };
        let answer = move || runtime.block_on(answer(sight, asked, told, &end, records));
        thread::Builder::new().name("reader".to_owned()).spawn(answer)?;
        Ok(reader)
    }

    /// Asks something of the relay.
    ///
    /// # Errors
    /// Too many wait already, or there is no answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl AsyncFnOnce(&mut Sight) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |sight| {
            Box::pin(async move {
                // Whoever asked may have gone meanwhile.
                if !reply.is_closed() {
                    drop(reply.send(question(sight).await));
                }
            })
        });
        self.questions.try_send(question).map_err(|_full| Failure::busy())?;
        match answer.await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_gone) => Err(Failure::busy()),
        }
    }

    /// What is read each second for as long as somebody watches.
    pub(super) fn watch(&self) -> watch::Receiver<Watched> {
        let mut watch = self.watched.subscribe();
        // An old look is not news.
        watch.mark_unchanged();
        watch
    }

    /// Waits until the thread has ended, which it does only by a fault.
    pub(super) async fn ended(&self) {
        self.questions.closed().await;
    }

    /// Ends the thread, which first records what was counted since its latest sample.
    pub(super) async fn finish(&self) {
        self.end.notify_one();
        // A sample that takes longer is given up: what it would have had is in the next one.
        drop(timeout(ENDING, self.ended()).await);
    }

    /// What happens, for whoever subscribes to it.
    pub(super) const fn events(&self) -> &broadcast::Sender<Arc<Event>> {
        &self.events
    }

    /// The configuration, read once for all.
    pub(super) fn configured(&self) -> Configured {
        self.configured.clone()
    }
}

/// Who is told without asking.
struct Told {
    watched: Arc<watch::Sender<Watched>>,
    events: broadcast::Sender<Arc<Event>>,
    configuration: Configuration,
}

async fn answer(
    mut sight: Sight,
    mut asked: mpsc::Receiver<Question>,
    told: Told,
    end: &Notify,
    records: bool,
) {
    let Told { watched, events, mut configuration } = told;
    let mut happened = EventReader::default();
    let mut recording = Recording::default();
    let mut samples = interval(BETWEEN_SAMPLES);
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            question = asked.recv() => match question {
                Some(question) => question(&mut sight).await,
                None => return,
            },
            () = end.notified() => {
                if records {
                    recording.record(&mut sight).await;
                }
                return;
            }
            _ = samples.tick(), if records => recording.record(&mut sight).await,
            _ = ticks.tick() => {
                configuration.follow(&mut sight).await;
                let is_watched = watched.receiver_count() > 0;
                let is_followed = events.receiver_count() > 0;
                if !is_followed {
                    // Whoever comes next is told what happens from then on.
                    happened = EventReader::default();
                }
                if is_watched || is_followed {
                    let look = sight.look().await;
                    if is_followed {
                        for event in sight.events(&mut happened, &look).await {
                            // Without a receiver, it has no reader.
                            drop(events.send(Arc::new(event)));
                        }
                    }
                    watched.send_replace(Some(look.map_err(Failure::from)));
                }
            }
        }
    }
}
