use tokio::time::Instant;

use super::*;
use crate::serve::webhooks::queue::{LIFETIME, WAITING_MAX};

/// Delivers everything: the numbers of the events, and -N for N that were lost.
fn delivered(queue: &mut Queue, now: Instant) -> Vec<i64> {
    let mut all = Vec::new();
    while let Some(message) = queue.head(now) {
        all.push(number(&message.event));
        queue.delivered();
    }
    all
}

#[test]
fn events_leave_in_their_order_each_with_an_id_of_its_own() {
    let now = Instant::now();
    let mut queue = Queue::new(ids());
    (0..3).for_each(|peer| queue.push(offline(peer), now));
    let first = queue.head(now).expect("an event").id.clone();
    queue.failed(now);
    assert_eq!(queue.head(now).expect("an event").id, first);
    queue.delivered();
    assert_ne!(queue.head(now).expect("an event").id, first);
    assert!(!first.contains('.'), "{first}");
    assert_eq!((delivered(&mut queue, now), queue.lost(), queue.len()), (vec![1, 2], 0, 0));
}

#[test]
fn the_oldest_make_room_and_an_event_says_so_in_their_place() {
    let now = Instant::now();
    let mut queue = Queue::new(ids());
    queue.push(offline(0), now);
    // Being tried, it is not dropped.
    queue.head(now).expect("an event");
    (1..WAITING_MAX + 4).for_each(|peer| queue.push(offline(peer), now));
    assert_eq!((queue.len(), queue.lost()), (WAITING_MAX + 1, 3));
    let mut wanted = vec![0, -3];
    wanted.extend(4..i64::try_from(WAITING_MAX + 4).expect("few"));
    assert_eq!(delivered(&mut queue, now), wanted);
}

#[test]
fn what_a_lost_event_stands_for_is_not_lost_with_it() {
    let now = Instant::now();
    let mut queue = Queue::new(ids());
    queue.push(event(Happening::Lost { count: 40 }), now);
    (0..WAITING_MAX + 1).for_each(|peer| queue.push(offline(peer), now));
    assert_eq!(queue.lost(), 41);
    assert_eq!(number(&queue.head(now).expect("an event").event), -41);
}

#[test]
fn an_event_is_given_up_after_a_day_but_not_untried() {
    let start = Instant::now();
    let mut queue = Queue::new(ids());
    queue.push(offline(0), start);
    queue.push(offline(1), start);
    queue.push(offline(2), start + LIFETIME / 2);
    assert_eq!(number(&queue.head(start).expect("an event").event), 0);
    let day = start + LIFETIME;
    assert_eq!(number(&queue.head(day).expect("an event").event), 0);
    queue.failed(day);
    assert_eq!(delivered(&mut queue, day), [-2, 2]);
    assert_eq!(queue.lost(), 2);
}

#[test]
fn a_queue_that_is_cleared_tells_nothing_of_it() {
    let now = Instant::now();
    let mut queue = Queue::new(ids());
    (0..3).for_each(|peer| queue.push(offline(peer), now));
    queue.head(now).expect("an event");
    queue.clear();
    assert_eq!((delivered(&mut queue, now), queue.lost()), (Vec::new(), 3));
}
