use std::{collections::VecDeque, net::Ipv4Addr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// An HTTP server on this host that keeps what it is sent. It ends with the value.
pub(super) struct Receiver {
    pub(super) port: u16,
    pub(super) requests: mpsc::UnboundedReceiver<Received>,
    task: JoinHandle<()>,
}

/// A request.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: String,
    pub(super) body: String,
}

impl Received {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().unwrap_or_else(|| panic!("no {name} in {}", self.head)).1
    }
}

impl Receiver {
    /// One that gives these answers in turn, then success. To "silence" it says nothing.
    pub(super) async fn start(answers: &[&'static str], tls: Option<ServerConfig>) -> Self {
        let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listening.expect("a socket");
        let port = listener.local_addr().expect("its address").port();
        let (received, requests) = mpsc::unbounded_channel();
        let mut answers: VecDeque<_> = answers.iter().copied().collect();
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let mut next = || answers.pop_front().unwrap_or("HTTP/1.1 204 No Content\r\n\r\n");
                match &tls {
                    None => serve(stream, &received, &mut next).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &received, &mut next).await;
                        }
                    }
                }
            }
        });
        Self { port, requests, task }
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Received {
        self.requests.recv().await.expect("a request")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    received: &mpsc::UnboundedSender<Received>,
    answer: &mut impl FnMut() -> &'static str,
) {
    let mut text = String::new();
    let request = loop {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(read) if read > 0 => text.push_str(str::from_utf8(&bytes[..read]).expect("text")),
            Ok(_) | Err(_) => return,
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let request = Received { head: head.to_owned(), body: body.to_owned() };
        if request.header("content-length") == body.len().to_string() {
            break request;
        }
    };
    match answer() {
        "silence" => {}
        // What never ends, in a body that nobody has to read.
        "forever" => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            drop(stream.write_all(head).await);
            while stream.write_all(b"4\r\nmore\r\n").await.is_ok() {}
        }
        text => drop(stream.write_all(text.as_bytes()).await),
    }
    drop(received.send(request));
    // The client closes the connection.
    while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
}
