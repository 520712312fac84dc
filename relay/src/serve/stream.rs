use std::{
    io::{self, BufWriter, Write},
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use hyper::body::{Body as HttpBody, Frame};
use tokio::{
    sync::mpsc,
    task,
    time::{Sleep, sleep},
};

use super::answer::{CHUNK, Place, SEND, Slow};

/// Chunks that wait for the client.
const WAITING: usize = 2;

impl Place {
    /// The answer that `render` writes while it is sent, so that only its next chunks are in memory.
    /// `render` gets an error once nobody takes the answer any longer.
    pub(super) fn stream(
        self,
        content_type: &'static str,
        render: impl FnOnce(&mut BufWriter<Chunks>) -> io::Result<()> + Send + 'static,
    ) -> Response {
        let (chunks, rendered) = mpsc::channel(WAITING);
        task::spawn_blocking(move || {
            let mut text = BufWriter::with_capacity(CHUNK, Chunks(chunks));
            // Without its last chunk, the client knows the answer to be cut.
            if render(&mut text).and_then(|()| text.flush()).is_ok() {
                drop(text.get_ref().send(Chunk::End));
            }
        });
        let body = Stream { rendered, end: Box::pin(sleep(SEND)), is_whole: false, _place: self };
        ([(header::CONTENT_TYPE, content_type)], Body::new(body)).into_response()
    }
}

/// Takes what is rendered, and waits for the client with it.
pub(super) struct Chunks(mpsc::Sender<Chunk>);

enum Chunk {
    Content(Bytes),
    End,
}

impl Chunks {
    fn send(&self, chunk: Chunk) -> io::Result<()> {
        self.0.blocking_send(chunk).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(CHUNK);
        self.send(Chunk::Content(Bytes::copy_from_slice(&bytes[..len])))?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that is rendered and sent.
struct Stream {
    rendered: mpsc::Receiver<Chunk>,
    end: Pin<Box<Sleep>>,
    is_whole: bool,
    _place: Place,
}

/// Why an answer ends early.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Slow(#[from] Slow),
    #[error("the answer could not be rendered to its end")]
    Unfinished,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Slow.into())));
        }
        self.rendered.poll_recv(cx).map(|chunk| match chunk {
            Some(Chunk::Content(content)) => Some(Ok(Frame::data(content))),
            Some(Chunk::End) => {
                self.is_whole = true;
                None
            }
            None => Some(Err(Cut::Unfinished)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole
    }
}
