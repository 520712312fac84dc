//! What changes of the peers, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    extract::State,
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Served, failure::Failure, reader::Watched};
use crate::{
    engine::Look,
    stats::{Peer, Snapshot},
};

/// An update: `relay stats --json` with a time, and only with the peers that changed.
#[derive(Serialize)]
struct Update {
    /// Unix time, milliseconds.
    time: u64,
    /// Whether all peers are in it.
    complete: bool,
    #[serde(flatten)]
    snapshot: Snapshot,
}

/// Between two comments that keep a connection open.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams what changes, each second.
pub(super) async fn live(State(served): State<Served>) -> Result<impl IntoResponse, Failure> {
    let permit =
        Arc::clone(&served.streams).try_acquire_owned().map_err(|_full| Failure::busy())?;
    let stream = updates(served.reader.watch(), permit);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One event for each look, until the thread that reads ends.
fn updates(
    watch: watch::Receiver<Watched>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = serde_json::Result<Event>> {
    unfold((watch, None, permit), async |(mut watch, last, permit)| {
        watch.changed().await.ok()?;
        let look = watch.borrow_and_update().clone()?;
        let (event, last) = match look {
            Ok(look) => (update(last.as_deref(), &look), Some(look)),
            Err(failure) => {
                let why = json!({ "error": failure.why() }).to_string();
                (Ok(Event::default().event("gone").data(why)), None)
            }
        };
        Some((event, (watch, last, permit)))
    })
}

/// What is new since `last`.
fn update(last: Option<&Look>, look: &Look) -> serde_json::Result<Event> {
    let snapshot = &look.snapshot;
    let changed = last.and_then(|last| changed(&last.snapshot.peers, &snapshot.peers));
    let complete = changed.is_none();
    let peers = changed.unwrap_or_else(|| snapshot.peers.clone());
    let since = look.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let update = Update {
        time: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        complete,
        snapshot: snapshot.with(peers),
    };
    Ok(Event::default().event("stats").data(serde_json::to_string(&update)?))
}

/// The peers that differ; `None` if others are there, or in another order.
fn changed(before: &[Peer], after: &[Peer]) -> Option<Vec<Peer>> {
    let is_same =
        |(one, other): (&Peer, &Peer)| one.name == other.name && one.public_key == other.public_key;
    if before.len() != after.len() || !before.iter().zip(after).all(is_same) {
        return None;
    }
    let pairs = before.iter().zip(after);
    Some(pairs.filter(|(one, other)| one != other).map(|(_, other)| other.clone()).collect())
}
