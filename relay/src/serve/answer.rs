use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};

use super::failure::Failure;

/// How many answers may be in memory.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// Room for one answer, from before it is made until it is sent.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Answers at once. One grows with the number of peers.
const ANSWERS: usize = 4;

/// How long a request waits for room.
const WAIT: Duration = Duration::from_secs(10);

/// Time in which a client has to take the whole answer.
pub(super) const SEND: Duration = Duration::from_secs(60);

/// Bytes that are handed on at once, so that a client that takes nothing is noticed.
pub(super) const CHUNK: usize = 64 << 10;

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ANSWERS)))
    }

    /// Waits for room.
    ///
    /// # Errors
    /// Others need it all this time.
    pub(super) async fn take(&self) -> Result<Place, Failure> {
        match timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Failure::busy()),
        }
    }
}

impl Place {
    /// The answer with this content.
    pub(super) fn answer(self, content_type: &'static str, content: Vec<u8>) -> Response {
        let sent = Sent { rest: content.into(), end: Box::pin(sleep(SEND)), _place: self };
        ([(header::CONTENT_TYPE, content_type)], Body::new(sent)).into_response()
    }
}

/// An answer that is being sent.
struct Sent {
    rest: Bytes,
    end: Pin<Box<Sleep>>,
    _place: Place,
}

/// A client took too long.
#[derive(Debug, thiserror::Error)]
#[error("the client did not take the answer within {} seconds", SEND.as_secs())]
pub(super) struct Slow;

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Slow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Slow>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Slow)));
        }
        let len = CHUNK.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
