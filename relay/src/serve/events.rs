use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event as Message, KeepAlive},
    },
};
use futures_util::stream::{Stream, StreamExt as _, unfold};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{Served, failure::Failure, live::KEEP_ALIVE};
use crate::engine::Event;

/// What JSON lines are called.
const LINES: &str = "application/x-ndjson";

/// Streams what happens: as lines of JSON where the client accepts those, else as server-sent events.
pub(super) async fn events(
    State(served): State<Served>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let permit =
        Arc::clone(&served.streams).try_acquire_owned().map_err(|_full| Failure::busy())?;
    let events = following(served.reader.events().subscribe(), permit);
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains(LINES)) {
        let lines = events.map(|event| {
            let mut line = serde_json::to_vec(&*event)?;
            line.push(b'\n');
            serde_json::Result::Ok(Bytes::from(line))
        });
        return Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response());
    }
    let messages = events.map(|event| {
        let data = serde_json::to_string(&*event)?;
        serde_json::Result::Ok(Message::default().event(event.kind()).data(data))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// What happens from now on.
fn following(
    events: broadcast::Receiver<Arc<Event>>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Arc<Event>> {
    unfold((events, permit), async |(mut events, permit)| {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(count)) => Arc::new(Event::lost("", count)),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((event, (events, permit)))
    })
}
