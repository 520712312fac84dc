use std::{cell::RefCell, collections::VecDeque, future::pending};

use hyper::StatusCode;
use tokio::sync::{broadcast, mpsc};

use super::*;
use crate::serve::webhooks::{
    delivery::Delivery,
    message::Message,
    post::{Answer, Post},
    queue::WAITING_MAX,
};

/// Short, so that no test waits.
const PACE: Pace = Pace { first: Duration::from_millis(1), most: Duration::from_millis(2) };

thread_local! {
    static NOTICES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn notices() -> Vec<String> {
    NOTICES.with_borrow_mut(std::mem::take)
}

/// Gives statuses in turn, then success; 0 is a receiver that never answers.
struct Script {
    statuses: VecDeque<u16>,
    posted: mpsc::UnboundedSender<(String, i64)>,
}

impl Post for Script {
    async fn post(&mut self, _: &Webhook, message: &Message) -> Result<Answer, PostError> {
        drop(self.posted.send((message.id.clone(), number(&message.event))));
        let status = match self.statuses.pop_front().unwrap_or(204) {
            0 => pending().await,
            status => StatusCode::from_u16(status).expect("a status"),
        };
        Ok(Answer { status, retry_after: None })
    }
}

/// What a delivery is attached to.
struct Bench {
    feed: broadcast::Sender<Arc<Event>>,
    settings: watch::Sender<Webhook>,
    ending: Option<watch::Sender<()>>,
    posted: mpsc::UnboundedReceiver<(String, i64)>,
    tally: Arc<Tally>,
}

impl Bench {
    /// Runs a delivery with these answers beside a test.
    async fn run(statuses: &[u16], test: impl AsyncFnOnce(&mut Self)) {
        notices();
        let (feed, _) = broadcast::channel(WAITING_MAX);
        let (settings, read) = watch::channel(Site::new(false, 1).webhook);
        let (ending, ended) = watch::channel(());
        let (posting, posted) = mpsc::unbounded_channel();
        let tally = Arc::new(Tally::new("ops".parse().expect("a name")));
        let post = Script { statuses: statuses.iter().copied().collect(), posted: posting };
        let queue = Queue::new(ids());
        let inbox = Inbox::new(read, feed.clone(), ended, queue, Arc::clone(&tally));
        let notice = |line: &str| NOTICES.with_borrow_mut(|lines| lines.push(line.to_owned()));
        let delivery = Delivery::new(inbox, post, PACE, Arc::clone(&tally), notice);
        let mut bench = Self { feed, settings, ending: Some(ending), posted, tally };
        let test = async {
            test(&mut bench).await;
            bench.ending = None;
        };
        tokio::join!(delivery.run(), test);
    }

    fn tell(&self, event: Arc<Event>) {
        self.feed.send(event).expect("a delivery");
    }

    /// The next try: its id, and the number of its event.
    async fn next(&mut self) -> (String, i64) {
        self.posted.recv().await.expect("a try")
    }

    /// Waits until something is so.
    async fn until(&self, is_so: impl Fn(&Tally) -> bool) {
        while !is_so(&self.tally) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn an_event_is_tried_until_it_is_accepted_and_the_next_one_waits() {
    Bench::run(&[500, 404, 302], async |bench| {
        bench.tell(offline(1));
        bench.tell(offline(2));
        let tries =
            [bench.next().await, bench.next().await, bench.next().await, bench.next().await];
        assert!(tries.iter().all(|one| *one == tries[0] && one.1 == 1), "{tries:?}");
        assert_eq!(bench.next().await.1, 2);
        bench.until(|tally| tally.delivered.load(Ordering::Relaxed) == 2).await;
        assert_eq!(bench.tally.failed.load(Ordering::Relaxed), 3);
    })
    .await;
    // Once for all failures.
    assert_eq!(
        notices(),
        [
            "webhook ops: not delivered, and tried again: http://localhost:1 answered 500 Internal \
             Server Error",
            "webhook ops: delivered again"
        ]
    );
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_sent_nothing_until_its_settings_change() {
    Bench::run(&[410], async |bench| {
        bench.tell(offline(1));
        bench.next().await;
        bench.until(|tally| tally.is_disabled.load(Ordering::Relaxed)).await;
        assert_eq!(bench.feed.receiver_count(), 0, "events are not read for it");
        assert_eq!(bench.tally.lost.load(Ordering::Relaxed), 1);
        bench.settings.send_modify(|webhook| webhook.url.port = 2);
        bench.until(|tally| !tally.is_disabled.load(Ordering::Relaxed)).await;
        bench.tell(offline(2));
        assert_eq!(bench.next().await.1, 2);
    })
    .await;
    let notices = notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("410 Gone, so it is sent nothing until"), "{notices:?}");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_costs_the_oldest_events() {
    Bench::run(&[0], async |bench| {
        bench.tell(offline(0));
        bench.next().await;
        for peer in 1..WAITING_MAX + 3 {
            bench.tell(offline(peer));
            // So that the feed itself loses nothing.
            tokio::task::yield_now().await;
        }
        bench.until(|tally| tally.lost.load(Ordering::Relaxed) == 2).await;
        // Other settings end the try.
        bench.settings.send_modify(|webhook| webhook.url.port = 2);
        assert_eq!(bench.next().await.1, 0);
        assert_eq!(bench.next().await.1, -2);
        assert_eq!(bench.next().await.1, 3);
        let waited = WAITING_MAX as u64 + 2;
        bench.until(|tally| tally.delivered.load(Ordering::Relaxed) == waited).await;
        assert_eq!(bench.tally.waiting.load(Ordering::Relaxed), 0);
    })
    .await;
}

#[tokio::test]
async fn only_what_was_asked_for_is_sent() {
    Bench::run(&[], async |bench| {
        // Of dropped packets, which it does not want.
        bench.tell(event(Happening::Lost { count: 7 }));
        bench.tell(offline(1));
        assert_eq!(bench.next().await.1, 1);
        let wanted = vec![EventType::PacketDropped, EventType::PeerNew];
        bench.settings.send_modify(|webhook| webhook.events = wanted);
        bench.tell(offline(2));
        bench.tell(event(Happening::Lost { count: 8 }));
        bench.tell(event(Happening::PeerNew { peer: "3".to_owned() }));
        assert_eq!((bench.next().await.1, bench.next().await.1), (-8, 3));
    })
    .await;
}

#[tokio::test]
async fn at_the_end_each_event_that_waits_is_tried_until_one_fails() {
    let mut last = None;
    Bench::run(&[204, 500, 204, 500], async |bench| {
        (1..5).for_each(|peer| bench.tell(offline(peer)));
        assert_eq!(bench.next().await.1, 1);
        assert_eq!(bench.next().await.1, 2);
        last = Some(Arc::clone(&bench.tally));
    })
    .await;
    let tally = last.expect("a tally");
    let [delivered, waiting] =
        [&tally.delivered, &tally.waiting].map(|count| count.load(Ordering::Relaxed));
    assert_eq!((delivered, waiting), (2, 2));
}

#[tokio::test]
async fn a_webhook_that_is_removed_is_sent_nothing() {
    let (feed, _) = broadcast::channel(WAITING_MAX);
    let (settings, read) = watch::channel(Site::new(false, 1).webhook);
    let (_ending, ended) = watch::channel(());
    let (posting, mut posted) = mpsc::unbounded_channel();
    let tally = Arc::new(Tally::new("ops".parse().expect("a name")));
    let inbox = Inbox::new(read, feed.clone(), ended, Queue::new(ids()), Arc::clone(&tally));
    feed.send(offline(1)).expect("a delivery");
    drop(settings);
    let post = Script { statuses: VecDeque::new(), posted: posting };
    Delivery::new(inbox, post, PACE, tally, |_| {}).run().await;
    assert!(posted.try_recv().is_err());
}
