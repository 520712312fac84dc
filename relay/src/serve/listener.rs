use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// What one client may take from the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once. More wait in the kernel's queue.
    pub(super) connections: usize,
    /// Time for a TLS handshake, and for the head of a request, which includes the wait for it.
    pub(super) head: Duration,
    /// Time in which a client has to take some of an answer.
    pub(super) write: Duration,
}

impl Limits {
    /// For everyday use.
    pub(super) const DEFAULT: Self =
        Self { connections: 128, head: Duration::from_secs(10), write: Duration::from_secs(30) };
}

/// Bytes and lines of the longest head of a request.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;

/// Between two attempts to accept, where the process or the host has no file descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts connections and serves them.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
) -> Infallible {
    let free = Arc::new(Semaphore::new(limits.connections));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_of_the_peer(&error) {
                    tracing::warn!("cannot accept a connection: {error}");
                    sleep(EXHAUSTED).await;
                }
                continue;
            }
        };
        let (tls, app) = (tls.clone(), app.clone());
        tokio::spawn(async move {
            let _permit = permit;
            // What a client breaks concerns that client alone.
            if let Err(error) = serve(stream, tls, app, limits).await {
                tracing::debug!("connection: {error}");
            }
        });
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let stream = Box::pin(stream);
    match tls {
        None => http(stream, app, limits).await,
        Some(tls) => http(timeout(limits.head, tls.accept(stream)).await??, app, limits).await,
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    app: Router,
    limits: Limits,
) -> Result<(), Fault> {
    let service = TowerToHyperService::new(app);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head);
    server.max_buf_size(HEAD_BYTES).max_headers(HEAD_LINES);
    Ok(pin!(server.serve_connection(TokioIo::new(stream), service)).await?)
}

/// Whether a connection ended before it was accepted (accept(2), "Error handling").
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
